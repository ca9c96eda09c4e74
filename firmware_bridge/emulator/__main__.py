"""python -m firmware_bridge.emulator: a controller on a pseudo-terminal, in a process of its own."""

import argparse
import contextlib
import json
import os
import signal
import socketserver
import sys
import threading
from pathlib import Path

from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour, Pace
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator, answer_line
from firmware_bridge.errors import BridgeError
from firmware_bridge.limits import KEY_BYTES
from firmware_bridge.vocabulary import FailMode, Mechanics

_EPILOG = """\
Once it runs it prints one JSON line: {"ready": true, "port": ..., "control": ...}.

Control line: JSON objects, one a line, on standard input (--stdin) or on the Unix socket of --control; each is answered with the state.
  {"set": {"beam_entry": true, "fire": true}}     inputs: beam_entry beam_exit request_to_exit fire reset_key tamper
  {"press": "request_to_exit"}                    on, and off after 100 ms
  {"person": "walks"}                             who answers the next release (see --person)
  {"leave": true}                                 whoever stands in the beams is gone
  {"reboot": true}   {"unplug": true}   {"plug": true}   {"mute": true}   {"state": true}
"""


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m firmware_bridge.emulator",
        description="An emulated turnstile controller on a pseudo-terminal (firmware_bridge/PROTOCOL.md).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=Path, required=True, help="symbolic link to make for the pseudo-terminal")
    parser.add_argument("--store", type=Path, required=True, help="file of the lasting memory: grant number, passage counters")
    parser.add_argument("--log", type=Path, required=True, help="file for the controller's own log, JSON lines, appended")
    link = parser.add_mutually_exclusive_group(required=True)
    link.add_argument("--key-file", type=Path, help="file with the link's key, 64 hexadecimal digits")
    link.add_argument("--keyless", action="store_true", help="a link without a key (the host needs link_inside_cabinet = true)")
    parser.add_argument("--control", type=Path, help="Unix socket of the control line")
    parser.add_argument("--stdin", action="store_true", help="take the control line from standard input; its end stops the emulator")
    parser.add_argument("--person", choices=list(Behaviour), default=Behaviour.NOBODY, help="who answers a release")
    parser.add_argument("--reaction-ms", type=int, default=400, help="from the opening to the first beam")
    parser.add_argument("--step-ms", type=int, default=150, help="between two changes of the beams")
    parser.add_argument("--id", default="emulator", help="the controller's identifier, at most 16 ASCII characters")
    parser.add_argument("--mechanics", choices=["rotor", "one_leaf", "two_doors"], default="one_leaf")
    parser.add_argument("--fail-entry", choices=["secure", "free"], default="secure")
    parser.add_argument("--fail-exit", choices=["secure", "free"], default="secure")
    parser.add_argument("--fault", choices=list(WireFault), default=WireFault.NONE, help="what the wire does to bytes, both ways")
    parser.add_argument("--fault-rate", type=float, default=0.3, help="share of the writes that suffer")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--clock-offset-ms", type=int, default=0, help="added to the controller's 32-bit clock")
    return parser


def _settings(arguments: argparse.Namespace) -> ControllerSettings:
    return ControllerSettings(
        key=None if arguments.keyless else read_key(arguments.key_file),
        controller_id=arguments.id,
        mechanics=Mechanics[arguments.mechanics.upper()],
        fail_entry=FailMode[arguments.fail_entry.upper()],
        fail_exit=FailMode[arguments.fail_exit.upper()],
    )


def read_key(file: Path) -> bytes:
    """The key of a file with 64 hexadecimal digits."""
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except OSError as error:
        raise BridgeError(f"{file}: cannot be read ({error.strerror}); it holds the link's key") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BridgeError(f"{file}: holds no key; it must be {2 * KEY_BYTES} hexadecimal digits")
    return key


def _serve(emulator: Emulator, path: Path) -> socketserver.ThreadingUnixStreamServer:
    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for raw in self.rfile:
                self.wfile.write(answer_line(emulator, raw.decode("utf-8", "replace")).encode())

    path.unlink(missing_ok=True)
    server = socketserver.ThreadingUnixStreamServer(str(path), Line)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), name="emulator-control", daemon=True).start()
    return server


def _listen(emulator: Emulator) -> None:
    for line in sys.stdin:
        print(answer_line(emulator, line), end="", flush=True)
    emulator.stop()


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after SIGTERM, SIGINT or the end of standard input; 2 for what cannot be."""
    arguments = _arguments().parse_args(argv)
    board = BoardSettings(
        port=arguments.port,
        store=arguments.store,
        log=arguments.log,
        behaviour=Behaviour(arguments.person),
        pace=Pace(arguments.reaction_ms, arguments.step_ms),
        fault=WireFault(arguments.fault),
        fault_rate=arguments.fault_rate,
        seed=arguments.seed,
        clock_offset_ms=arguments.clock_offset_ms,
    )
    try:
        emulator = Emulator(_settings(arguments), board)
    except (BridgeError, OSError) as error:
        print(f"emulator: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: emulator.stop())
    server = _serve(emulator, arguments.control) if arguments.control else None
    print(json.dumps({"ready": True, "port": str(arguments.port), "control": str(arguments.control or ""), "pid": os.getpid()}), flush=True)
    if arguments.stdin:
        threading.Thread(target=_listen, args=(emulator,), name="emulator-stdin", daemon=True).start()
    emulator.run()
    if server is not None:
        server.shutdown()
        with contextlib.suppress(OSError):
            arguments.control.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
