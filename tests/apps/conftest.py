"""Databases for the tests of apps."""

from contexts.conftest import template_database as template_database
