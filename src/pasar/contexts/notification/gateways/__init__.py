"""What delivers mails: one file each."""

from pathlib import Path

from pasar.kernel.settings import Settings

from ..gateway import NotificationSettings, Post
from .local_mailbox import LocalMailbox
from .smtp import Smtp


def mailbox_folder(settings: Settings) -> Path:
    return Path(settings.general.data_dir).absolute() / "mailbox"


def post_of(settings: Settings) -> Post:
    """The one that the settings choose."""
    chosen = settings.section(NotificationSettings)
    return Smtp(chosen) if chosen.mailer == "smtp" else LocalMailbox(mailbox_folder(settings))
