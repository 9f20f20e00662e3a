"""A mail server by SMTP (RFC 5321), with the standard library's client, in a few threads.

Taken over at least once: where the connection is lost after the last byte, the mail is sent again, under the same
Message-ID.
"""

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from pasar.kernel.delivery import Retry

from ..gateway import Letter, NotificationSettings, Undeliverable, as_bytes

TIMEOUT_S = 8


class Smtp:
    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.smtp_connections, "smtp")

    async def send(self, letter: Letter) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, letter)

    async def forget(self, person: UUID) -> int:
        """Nothing is kept here."""
        return 0

    def _send(self, letter: Letter) -> str:
        message = as_bytes(letter)
        try:
            with self._connected() as server:
                server.sendmail(letter.sender, [letter.to], message)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise (Undeliverable if code >= 500 else Retry)(f"the mail server refused the address: {code}") from None
        except smtplib.SMTPNotSupportedError as error:
            raise Undeliverable(str(error)) from None
        except smtplib.SMTPResponseException as error:
            raise Retry(f"the mail server answered {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Retry(f"the mail server cannot be reached: {type(error).__name__}") from None
        return letter.message_id

    def _connected(self) -> smtplib.SMTP:
        chosen = self._settings
        if chosen.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(chosen.smtp_host, chosen.smtp_port, timeout=TIMEOUT_S)
            if chosen.smtp_tls == "starttls":
                server.starttls(context=ssl.create_default_context())
        if chosen.smtp_user:
            server.login(chosen.smtp_user, chosen.smtp_password)
        return server
