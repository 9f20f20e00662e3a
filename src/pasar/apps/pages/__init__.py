"""What every server-rendered page is made with: sessions, languages, templates, files, the design."""

from pathlib import Path

from . import design
from .page import Face

FACE = Face((design,), Path(__file__).parent)
