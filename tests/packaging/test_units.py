"""What stands in systemd/: checked by systemd's own tools, and against the configuration that it has to fit."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import Config
from tests.architecture.source import ROOT

FOLDER = ROOT / "systemd"
UNIT = FOLDER / "gate-agent.service"
RULES = FOLDER / "90-gate-agent.rules"
EXPOSURE_LIMIT = 2.5  # of systemd-analyze security; a plain unit has 9.2


def run(*command: str) -> str:
    assert shutil.which(command[0]), f"{command[0]} is missing; script/test installs it: apt-get install systemd"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the programs of this environment, for verify looks whether they can be started."""
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/gate-agent/bin/", f"{Path(sys.executable).parent}/"), encoding="utf-8")
    return here


def section(name: str) -> dict[str, str]:
    """A section of the unit; of a repeated key the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT, encoding="utf-8")
    return dict(parser[name])


def test_systemd_finds_nothing_to_say_about_the_unit(unit: Path) -> None:
    assert run("systemd-analyze", "verify", str(unit)) == ""


def test_systemd_sees_a_wrong_unit(unit: Path) -> None:
    unit.write_text(unit.read_text(encoding="utf-8").replace("WatchdogSec=", "WatchdogSecs="), encoding="utf-8")
    assert "WatchdogSecs" in run("systemd-analyze", "verify", str(unit))


def test_the_unit_is_confined(unit: Path) -> None:
    found = re.search(r"exposure level for gate-agent.service: ([0-9.]+)", run("systemd-analyze", "security", "--offline=true", str(unit)))
    assert found is not None
    assert float(found[1]) <= EXPOSURE_LIMIT


def test_the_unit_makes_the_folders_that_the_configuration_names() -> None:
    service, gate = section("Service"), Config().gate
    assert (f"/var/lib/{service['StateDirectory']}", f"/run/{service['RuntimeDirectory']}") == (str(gate.state_dir), str(gate.runtime_dir))


def test_the_unit_starts_again_for_ever_and_is_watched() -> None:
    service = section("Service")
    assert (service["Type"], service["Restart"], section("Unit")["StartLimitIntervalSec"]) == ("notify", "always", "0")
    assert int(service["WatchdogSec"]) > 0


def test_no_device_but_cameras_and_serial_ports_is_reachable() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert section("Service")["DevicePolicy"] == "closed"
    assert set(re.findall(r"^DeviceAllow=(\S+)", text, re.MULTILINE)) == {
        *("char-video4linux", "char-ttyUSB", "char-ttyACM", "char-ttyS", "char-ttyAMA"),
    }


def test_the_user_of_the_unit_is_made_by_sysusers(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "gate-agent.sysusers"))
    users = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8")
    assert re.search(rf"^{section('Service')['User']}:.*:/var/lib/gate-agent:/usr/sbin/nologin$", users, re.MULTILINE)


def test_tmpfiles_are_understood_and_name_users_that_exist(tmp_path: Path) -> None:
    """Read whole by --clean, which removes nothing here: no line has an age."""
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "gate-agent.sysusers"))
    assert run("systemd-tmpfiles", "--clean", f"--root={tmp_path}", str(FOLDER / "gate-agent.tmpfiles")) == ""


_PAIR = re.compile(r'(?P<key>[A-Z]+(\{[A-Za-z_]+\})?)(?P<operator>==|!=|\+=|=)"(?P<value>[^"]*)"')
_MATCHES = {"ACTION", "SUBSYSTEM", "KERNEL", "ENV{ID_PATH}", "ENV{ID_SERIAL_SHORT}", "ATTR{index}"}
_ASSIGNMENTS = {"SYMLINK": "+=", "GROUP": "=", "MODE": "=", "GOTO": "=", "LABEL": "="}


def rules() -> list[list[tuple[str, str, str]]]:
    """udevadm of Debian 12 cannot verify a rules file, so each line is read here: pairs of key, operator and value, nothing between."""
    parsed = []
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pairs = [_PAIR.fullmatch(part.strip()) for part in line.split(", ")]
        assert all(pairs), line
        parsed.append([(m["key"], m["operator"], m["value"]) for m in pairs if m])
    return parsed


def test_udev_rules_are_well_formed() -> None:
    for rule in rules():
        for key, operator, _ in rule:
            assert (key in _MATCHES and operator in {"==", "!="}) or _ASSIGNMENTS.get(key) == operator, rule
    gotos, labels = ({v for r in rules() for k, _, v in r if k == key} for key in ("GOTO", "LABEL"))
    assert gotos == labels


def test_udev_gives_the_names_that_the_configuration_asks_for() -> None:
    made = {f"/dev/{v}" for rule in rules() for k, _, v in rule if k == "SYMLINK"}
    assert made == {"/dev/gate-camera-entry", "/dev/gate-camera-exit", "/dev/gate-controller"}
    assert {Config().camera[0].source, Config().barrier.port} <= made


def test_each_name_is_bound_to_one_socket_and_opened_only_to_the_agent() -> None:
    for rule in (rule for rule in rules() if "SYMLINK" in {key for key, _, _ in rule}):
        assigned = {key: value for key, operator, value in rule if operator != "=="}
        matched = {key: value for key, operator, value in rule if operator == "=="}
        assert (assigned["GROUP"], assigned["MODE"]) == (section("Service")["Group"], "0660")
        assert matched["ENV{ID_PATH}"].startswith("FILL-IN-")
