"""Why an OSDP session came to nothing, as far as the open part of its last frames tells it."""

from firmware_bridge.osdp_wire import Code, Frame


def refused(command: Frame | None, reply: Frame | None) -> str | None:
    """What the board has refused; None where it has not."""
    if command is None or reply is None or reply.code != Code.NAK:
        return None
    if command.code in (Code.CHALLENGE, Code.SERVER_CRYPTOGRAM):
        return "the board refuses the secure channel: it has another key, or none yet (see docs/OSDP.md)"
    return f"the board refuses command {command.code:#04x} (NAK)"


def not_opened(command: Frame | None) -> str:
    """Why no secure channel came of a board that answers; `command` is the last that it was sent."""
    code = None if command is None else command.code
    if code == Code.CHALLENGE:
        return "the board has another key than this gate (see docs/OSDP.md)"
    if code == Code.CAPABILITIES:
        return "the board offers no secure channel, and without it nothing is switched"
    return "the secure channel was not opened"
