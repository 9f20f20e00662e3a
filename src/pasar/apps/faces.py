"""Which faces this product shows to people. Each is a folder of `apps`; a new one is added here."""

from pasar.apps import admin, pages, storefront

FACES = (storefront.FACE, admin.FACE, pages.FACE)
