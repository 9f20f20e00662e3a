"""A category: a node of the tree in which products are found. Its parent is older than itself, so no circle can be."""

from pasar.kernel.decider import Decider
from pasar.kernel.messages import Value
from pasar.refusals import CategoryExists

from .contract import Category, CategoryCreated, CreateCategory


class Node(Value):
    """Nothing yet, or the category."""

    category: Category | None = None


def decide(command: CreateCategory, node: Node) -> list[CategoryCreated]:
    """The facade has seen that the parent exists."""
    wanted = CategoryCreated(**{name: getattr(command, name) for name in command.__struct_fields__})
    if node.category is None:
        if command.parent == command.category:
            raise CategoryExists("a category is not its own parent")
        return [wanted]
    if evolve(node, wanted) == node:
        return []  # A repeat.
    raise CategoryExists(f"there is a category {command.category}, with other content")


def evolve(node: Node, event: CategoryCreated) -> Node:
    return Node(category=Category(**{name: getattr(event, name) for name in event.__struct_fields__}))


def answer(node: Node) -> Category | None:
    return node.category


category = Decider("catalog.category", "category", Node(), decide, evolve, answer=answer)
