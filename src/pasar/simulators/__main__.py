"""`python -m pasar.simulators --data DIR --port N`: the outside world on one port."""

import argparse
import sys
from pathlib import Path

import uvicorn

from .server import build


def main() -> int:
    parser = argparse.ArgumentParser(prog="pasar.simulators", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of state and keys; made when missing")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--callback-host", help="HOST:PORT to deliver notices to, whatever host their URL names")
    parser.add_argument("--toss-webhook", help="URL for notices of Toss, as registered in its console")
    choice = parser.parse_args()
    try:
        app = build(choice.data, callback_host=choice.callback_host, toss_webhook=choice.toss_webhook)
    except OSError as problem:
        sys.stderr.write(f"The folder {choice.data} cannot be used: {problem}\n")
        return 1
    uvicorn.run(app, host=choice.host, port=choice.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
