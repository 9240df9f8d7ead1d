# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH's client against OpenSSH's server on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    HostKeyUnknown,
    InvalidInput,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api import ssh as ssh_module
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost, luxi_over_ssh

from .sshd import USER, Sshd, fingerprint, make_key, public, sign

pytestmark = pytest.mark.functional

HOST = "127.0.0.1"


@pytest.fixture(name="options")
def fixture_options(sshd: Sshd, user_key: Path, tmp_path: Path) -> dict[str, t.Any]:
    (tmp_path / "config").write_text("")
    (tmp_path / "known_hosts").write_text(sshd.known_as(HOST))
    return {
        "user": USER,
        "port": sshd.port,
        "private_key_file": str(user_key),
        "known_hosts_file": str(tmp_path / "known_hosts"),
        "config_file": str(tmp_path / "config"),
        "agent": False,
    }


@pytest.fixture(name="jump")
def fixture_jump(tmp_path: Path, sshd: Sshd) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "jump")
    server.authorized.write_text(sshd.authorized.read_text())
    yield server
    server.stop()


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_command_with_words_of_any_kind(options: dict[str, t.Any]) -> None:
    with SshHost(HOST, options) as host:
        assert host.run(["printf", "%s|", "a b", "$HOME", "it's", "*", "", "-n", "~", "a\nb"]) == (0, b"a b|$HOME|it's|*||-n|~|a\nb|", b"")
        status, output, error = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (status, output, error) == (3, b"out\n", b"err\n")


def test_megabytes_both_ways(options: dict[str, t.Any]) -> None:
    data = os.urandom(5 * 1024 * 1024)
    with SshHost(HOST, options) as host:
        assert host.run(["cat"], input=data) == (0, data, b"")
        assert host.run(["true"], input=data)[0] == 0


def test_a_command_may_end_as_ssh_does_when_it_fails(options: dict[str, t.Any]) -> None:
    with SshHost(HOST, options) as host:
        assert host.run(["sh", "-c", "echo no >&2; exit 255"]) == (255, b"", b"no\n")
        assert host.run(["no-such-command-here"])[0] == 127


def test_a_process_is_read_and_written_at_once(options: dict[str, t.Any]) -> None:
    with SshHost(HOST, options) as host:
        process = host.popen(["cat"])
        lines = iter(process)
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert next(lines) == word
        process.stdin.close()
        assert list(lines) == []
        assert process.wait(60) == 0


def test_a_killed_process_ends_at_both_ends(options: dict[str, t.Any], tmp_path: Path) -> None:
    with SshHost(HOST, options) as host:
        process = host.popen(["sh", "-c", f"echo $$; cat; touch {tmp_path}/ended"])
        assert next(iter(process)).isdigit()
        process.kill()
        assert list(process) == []
        assert process.wait(60) == -1
        eventually((tmp_path / "ended").exists)
        with pytest.raises(ConnectionFailed, match=f"sh on {HOST} was lost"):
            process.stdin.write(b"x")
        with pytest.raises(ConnectionFailed, match="did not end within 0 s"):
            host.run(["sleep", "60"], timeout=0.2)
        assert host.run(["true"])[0] == 0


def test_output_and_lines_are_bounded(options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "MAX_OUTPUT", 100_000)
    monkeypatch.setattr(ssh_module, "MAX_LINE", 1000)
    with SshHost(HOST, options) as host:
        assert len(host.run(["head", "-c", "100000", "/dev/zero"])[1]) == 100_000
        with pytest.raises(ConnectionFailed, match="cat on 127.0.0.1 wrote more than 100000 bytes"):
            host.run(["cat", "/dev/zero"])
        assert [len(line) for line in host.popen(["sh", "-c", "head -c 999 /dev/zero; echo"])] == [999]
        with pytest.raises(ConnectionFailed, match="head on 127.0.0.1 wrote a line of more than 1000 bytes"):
            list(host.popen(["head", "-c", "1001", "/dev/zero"]))


def test_a_lost_connection_is_told_and_made_anew(sshd: Sshd, options: dict[str, t.Any]) -> None:
    with SshHost(HOST, options) as host:
        reader = host.popen(["cat"])
        with pytest.raises(ConnectionFailed, match=f"sh on {HOST} was lost"):
            # The parent of a session's shell is the server's process for this connection.
            host.run(["sh", "-c", "kill -9 $PPID; sleep 60"])
        assert list(reader) == []
        with pytest.raises(ConnectionFailed, match=f"cat on {HOST} was lost"):
            reader.wait(60)
        assert host.run(["true"])[0] == 0


def test_a_session_that_is_refused_makes_no_connection_of_its_own(tmp_path: Path, options: dict[str, t.Any], sshd: Sshd) -> None:
    sshd.stop()
    sshd.start("MaxSessions 1")
    Path(options["known_hosts_file"]).write_text(sshd.known_as(HOST))
    with SshHost(HOST, {**options, "port": sshd.port}) as host:
        first = host.popen(["cat"])
        first.stdin.write(b"x\n")
        assert next(iter(first)) == b"x"
        with pytest.raises(ConnectionFailed, match=r"sshd: MaxSessions"):
            host.run(["true"])
        first.stdin.close()
        assert first.wait(60) == 0
    assert (sshd.directory / "log").read_text().count("Accepted publickey") == 1


def test_an_unknown_host_key_is_refused_with_the_way_to_add_it(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> None:
    known = tmp_path / "known hosts"
    known.write_text("")
    with pytest.raises(HostKeyUnknown) as unknown, SshHost(HOST, {**options, "known_hosts_file": str(known)}) as host:
        host.connect()
    assert f"The host key of {HOST} (ssh-ed25519 {fingerprint(sshd.host_key)}) is not in {known}" in unknown.value.message
    command = unknown.value.message.rpartition("add it with: ")[2]
    assert command == f"ssh-keyscan -p {sshd.port} {HOST} >> '{known}'"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    with SshHost(HOST, {**options, "known_hosts_file": str(known)}) as host:
        assert host.run(["true"])[0] == 0


@pytest.mark.parametrize("way", ["no", "accept-new", "off", "ask"])
def test_no_configuration_makes_an_unknown_key_known(options: dict[str, t.Any], tmp_path: Path, way: str) -> None:
    known = tmp_path / "known"
    del options["known_hosts_file"]
    weak = f"StrictHostKeyChecking {way}\nNoHostAuthenticationForLocalhost yes\nUpdateHostKeys yes\nVerifyHostKeyDNS yes\n"
    Path(options["config_file"]).write_text(f"{weak}UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n")
    with pytest.raises(HostKeyUnknown, match=f"is not in {known}"), SshHost(HOST, options) as host:
        host.connect()
    assert not known.exists()
    Path(options["config_file"]).write_text(f"{weak}UserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\n")
    with pytest.raises(HostKeyUnknown, match="the SSH configuration keeps none .UserKnownHostsFile /dev/null.: name one"), SshHost(HOST, options) as host:
        host.connect()


def test_a_changed_host_key_is_refused_with_the_way_to_remove_it(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> None:
    file = Path(options["known_hosts_file"])
    file.write_text(f"# a comment\n[{HOST}]:{sshd.port} {public(make_key(tmp_path / 'other'))}\n")
    with pytest.raises(HostKeyUnknown) as changed, SshHost(HOST, options) as host:
        host.connect()
    assert f"(ssh-ed25519 {fingerprint(sshd.host_key)}) is not the one in {file}, line 2" in changed.value.message
    command = changed.value.message.rpartition("remove the old one with: ")[2]
    assert command == f"ssh-keygen -R '[{HOST}]:{sshd.port}' -f {file}"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert f":{sshd.port}" not in file.read_text()


def test_a_revoked_host_key_is_refused(sshd: Sshd, options: dict[str, t.Any]) -> None:
    file = Path(options["known_hosts_file"])
    file.write_text(f"@revoked * {public(sshd.host_key)}\n{file.read_text()}")
    with pytest.raises(HostKeyUnknown, match="marked as revoked: do not trust"), SshHost(HOST, options) as host:
        host.connect()


def test_a_host_that_its_authority_vouches_for(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> None:
    authority = make_key(tmp_path / "authority")
    certificate = sign(authority, sshd.host_key, "a1.example.net", "-h")
    sshd.stop()
    sshd.start(f"HostCertificate {certificate}")
    file = Path(options["known_hosts_file"])
    Path(options["config_file"]).write_text(f"Host a1.example.net b1.example.net\n HostName {HOST}\n HostKeyAlias %n\n")
    Path(options["config_file"]).write_text(
        f"Host a1.example.net\n HostKeyAlias a1.example.net\nHost b1.example.net\n HostKeyAlias b1.example.net\nHost *\n HostName {HOST}\n"
    )
    file.write_text(f"@cert-authority *.example.net {public(authority)}\n")
    options["port"] = sshd.port
    with SshHost("a1.example.net", options) as host:
        assert host.run(["echo", "sure"])[1] == b"sure\n"
    with pytest.raises(HostKeyUnknown, match="b1.example.net .*(name is not a listed principal|does not hold)"), SshHost("b1.example.net", options) as host:
        host.connect()
    file.write_text(f"@cert-authority *.example.net {public(make_key(tmp_path / 'stranger'))}\n")
    with pytest.raises(HostKeyUnknown), SshHost("a1.example.net", options) as host:
        host.connect()


def test_a_user_with_a_certificate(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "certified")
    sshd.stop()
    sshd.authorized.write_text("")
    sshd.start(f"TrustedUserCAKeys {authority}.pub")
    Path(options["known_hosts_file"]).write_text(sshd.known_as(HOST))
    options.update(port=sshd.port, private_key_file=str(key))
    with pytest.raises(AuthenticationFailed, match=f"does not let {USER} in with the key {key}: add"), SshHost(HOST, options) as host:
        host.connect()
    sign(authority, key, USER)
    with SshHost(HOST, options) as host:
        assert host.run(["echo", "welcome"])[1] == b"welcome\n"


def test_keys_that_do_not_do_are_named(options: dict[str, t.Any], sshd: Sshd, tmp_path: Path) -> None:
    other, locked, open_to_all = make_key(tmp_path / "other"), make_key(tmp_path / "locked", "secret"), make_key(tmp_path / "open")
    open_to_all.chmod(0o644)
    sshd.authorized.write_text(Path(f"{locked}.pub").read_text() + Path(f"{open_to_all}.pub").read_text())
    for key, message in (
        (other, f"{HOST} does not let {USER} in with the key {other}: add a public key to {USER}'s authorized_keys"),
        (locked, f"with the key {locked}, but it cannot be used without its passphrase: .* ssh-add"),
        (open_to_all, f"The private key {open_to_all} can be read by others, so OpenSSH does not use it: chmod 600"),
    ):
        with pytest.raises(AuthenticationFailed, match=message), SshHost(HOST, {**options, "private_key_file": str(key)}) as host:
            host.connect()
    with pytest.raises(InvalidInput, match="missing does not exist"), SshHost(HOST, {**options, "private_key_file": str(tmp_path / "missing")}) as host:
        host.connect()


def test_through_a_jump_host(sshd: Sshd, jump: Sshd, options: dict[str, t.Any], user_key: Path) -> None:
    config, known = Path(options["config_file"]), Path(options["known_hosts_file"])
    config.write_text(f"Host far\n HostName {HOST}\n ProxyJump {USER}@near\nHost near\n HostName {HOST}\n Port {jump.port}\n IdentityFile {user_key}\n")
    known.write_text(sshd.known_as(HOST) + jump.known_as(HOST))
    with SshHost("far", options) as host:
        assert host.run(["echo", "far"])[1] == b"far\n"
    assert "Accepted publickey" in (jump.directory / "log").read_text()


def test_a_jump_host_is_checked_as_strictly(sshd: Sshd, jump: Sshd, options: dict[str, t.Any], user_key: Path) -> None:
    config, known = Path(options["config_file"]), Path(options["known_hosts_file"])
    weak = "StrictHostKeyChecking no\nNoHostAuthenticationForLocalhost yes\n"
    config.write_text(f"{weak}Host far\n HostName {HOST}\n ProxyJump {USER}@near\nHost near\n HostName {HOST}\n Port {jump.port}\n")
    known.write_text(sshd.known_as(HOST))
    with pytest.raises(HostKeyUnknown) as unknown, SshHost("far", options) as host:
        host.connect()
    assert f"The host key of [{HOST}]:{jump.port} (on the way to far) (ssh-ed25519 {fingerprint(jump.host_key)}) is not in {known}" in unknown.value.message
    assert known.read_text() == sshd.known_as(HOST)
    assert "Accepted" not in (jump.directory / "log").read_text()


def test_what_is_behind_a_jump_host_and_what_is_not(sshd: Sshd, jump: Sshd, options: dict[str, t.Any], user_key: Path) -> None:
    config, known = Path(options["config_file"]), Path(options["known_hosts_file"])
    config.write_text(
        f"Host far.invalid\n ProxyJump {USER}@near\nHost none\n HostName {HOST}\n ProxyJump {USER}@near\n"
        f"Host near\n HostName {HOST}\n Port {jump.port}\n IdentityFile {user_key}\n"
    )
    known.write_text(sshd.known_as("far.invalid") + jump.known_as(HOST))
    with (
        pytest.raises(ConnectionFailed, match=f"The jump host {USER}@near does not reach far.invalid port {sshd.port}: "),
        SshHost("far.invalid", options) as host,
    ):
        host.connect()
    with SshHost("far.invalid", options, fallback_address=HOST) as host:
        assert host.run(["echo", "found"])[1] == b"found\n"
    with pytest.raises(HostKeyUnknown) as unknown, SshHost("none", options) as host:
        host.connect()
    assert unknown.value.message.endswith(f"add it with: ssh {USER}@near ssh-keyscan -p {sshd.port} {HOST} >> {known}")


def test_a_proxy_command_has_a_shell(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import socket,sys,threading,os; s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
        "threading.Thread(target=lambda: [os.write(1, d) for d in iter(lambda: s.recv(65536), b'')], daemon=True).start()\n"
        "[s.sendall(d) for d in iter(lambda: os.read(0, 65536), b'')]\n"
    )
    monkeypatch.setenv("RELAY", str(tmp_path))
    config = Path(options["config_file"])
    config.write_text(f'Host p1\n HostName {HOST}\n ProxyCommand {sys.executable} "$RELAY"/relay.py %h %p | cat 2>/dev/null\n')
    with SshHost("p1", options) as host:
        assert host.run(["echo", "piped"])[1] == b"piped\n"
    config.write_text("Host p1\n ProxyCommand sh -c 'echo the tunnel is down >&2; exit 1'\n")
    with pytest.raises(ConnectionFailed, match=r"p1 cannot be reached by SSH: \w+"), SshHost("p1", options) as host:
        host.connect()


def test_a_name_that_does_not_resolve_falls_back_but_keeps_its_key(sshd: Sshd, options: dict[str, t.Any]) -> None:
    with pytest.raises(ConnectionFailed, match="The name a1.invalid does not resolve"), SshHost("a1.invalid", options) as host:
        host.connect()
    with pytest.raises(HostKeyUnknown), SshHost("a1.invalid", options, fallback_address=HOST) as host:
        host.connect()
    Path(options["known_hosts_file"]).write_text(sshd.known_as("a1.invalid"))
    with SshHost("a1.invalid", options, fallback_address=HOST) as host:
        assert host.run(["true"])[0] == 0


def test_nobody_there(sshd: Sshd, options: dict[str, t.Any]) -> None:
    sshd.stop()
    with (
        pytest.raises(ConnectionFailed, match=f"{HOST} cannot be reached by SSH on {HOST} port {sshd.port}: Connection refused"),
        SshHost(HOST, options) as host,
    ):
        host.connect()
    sshd.start()


def test_somebody_who_speaks_no_ssh(options: dict[str, t.Any]) -> None:
    program = (
        "import socket; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True)\n"
        "c,_=s.accept(); c.sendall(b'220 smtp\\r\\n'*999); c.recv(9)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        with pytest.raises(ConnectionFailed, match=f"{HOST} cannot be reached by SSH: "), SshHost(HOST, {**options, "port": port}) as host:
            host.connect()
        server.kill()


def test_a_silent_host_does_not_hold_us(options: dict[str, t.Any]) -> None:
    program = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); c,_=s.accept(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        with (
            pytest.raises(ConnectionFailed, match=f"{HOST} cannot be reached by SSH: .*timed out"),
            SshHost(HOST, {**options, "port": port, "connect_timeout": 1}) as host,
        ):
            host.connect()
        server.kill()


def test_somebody_elses_master_is_not_used(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> None:
    """A connection that was made without looking at the host's key must not carry ours."""
    path = tmp_path / "m"
    argv = ["ssh", "-F", "/dev/null", "-M", "-N", "-S", str(path), "-i", options["private_key_file"], "-p", str(sshd.port)]
    theirs = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", f"{USER}@{HOST}"]
    with subprocess.Popen([*argv, *theirs], stderr=subprocess.DEVNULL) as master:
        eventually(path.exists)
        Path(options["config_file"]).write_text(f"ControlMaster auto\nControlPath {path}\nControlPersist yes\n")
        Path(options["known_hosts_file"]).write_text("")
        with pytest.raises(HostKeyUnknown), SshHost(HOST, options) as host:
            host.connect()
        Path(options["known_hosts_file"]).write_text(sshd.known_as(HOST))
        with SshHost(HOST, options) as host:
            assert host.run(["true"])[0] == 0
        master.terminate()
    assert (sshd.directory / "log").read_text().count("Accepted publickey") == 2


def _about(word: str) -> list[str]:
    """The commands of processes that have a word in them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if word in command:
                found.append(command)
    return found


CONTROLLER = """
    import json, os, signal, sys
    sys.path.insert(0, sys.argv[1])
    import source_tree
    from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which is ignored below nohup
    host = SshHost("far", json.loads(sys.argv[2]))
    process = host.popen(["sh", "-c", "echo up; cat; sleep " + sys.argv[3]])
    assert next(iter(process)) == b"up"
    try:
        print(host._carrier._workspace.directory, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        process.stdin.write(b"still there\\n")
        assert next(iter(process)) == b"still there"
        assert host.run(["echo", "undone"])[1] == b"undone\\n"
        host.close()
        print("undone", flush=True)
"""


@pytest.fixture(name="controller")
def fixture_controller(sshd: Sshd, jump: Sshd, options: dict[str, t.Any], user_key: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A controller in a process group of its own, with a session through a jump host."""
    Path(options["config_file"]).write_text(
        f"Host far\n HostName {HOST}\n ProxyJump {USER}@near\nHost near\n HostName {HOST}\n Port {jump.port}\n IdentityFile {user_key}\n"
    )
    Path(options["known_hosts_file"]).write_text(sshd.known_as(HOST) + jump.known_as(HOST))
    import json

    unit = str(Path(__file__).parents[3])
    argv = [sys.executable, "-c", textwrap.dedent(CONTROLLER), unit, json.dumps(options), str(10_000 + sshd.port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_controller_leaves_no_process_and_no_file(controller: subprocess.Popen[str], sshd: Sshd, number: signal.Signals) -> None:
    assert controller.stdout
    directory = controller.stdout.readline().strip()
    assert len(_about(directory)) >= 4 and os.path.exists(directory)  # guard, its watch, ssh, the jump's ssh, the session
    os.killpg(controller.pid, number)
    controller.wait(60)
    eventually(lambda: not _about(directory))
    eventually(lambda: not os.path.exists(directory))
    # The command's input ended with it, and what it does after that is its own affair.


def test_ctrl_c_reaches_the_controller_and_not_its_connections(controller: subprocess.Popen[str]) -> None:
    assert controller.stdout
    directory = controller.stdout.readline().strip()
    os.killpg(controller.pid, signal.SIGINT)
    assert controller.stdout.readline() == "undone\n"
    assert controller.wait(60) == 0
    assert not os.path.exists(directory)
    eventually(lambda: not _about(directory))


def test_a_closed_host_leaves_nothing_and_can_be_used_again(options: dict[str, t.Any]) -> None:
    host = SshHost(HOST, options)
    host.connect()
    directory = host._carrier._workspace.directory  # type: ignore[union-attr]
    process = host.popen(["sleep", "60"])
    host.close()
    assert not os.path.exists(directory)
    eventually(lambda: not _about(directory))  # the session's own ssh has its signal, and is not waited for
    with pytest.raises(ConnectionFailed, match=f"sleep on {HOST} was lost"):
        process.wait(60)
    assert host.run(["true"])[0] == 0
    host.close()


def test_a_refused_connection_leaves_nothing(options: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    place = tmp_path / "t"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place)) if len(str(place)) < 50 else monkeypatch.setattr(tempfile, "mkdtemp", _in(place))
    Path(options["known_hosts_file"]).write_text("")
    with pytest.raises(HostKeyUnknown):
        SshHost(HOST, options).connect()
    assert list(place.iterdir()) == []


def _in(place: Path) -> Callable[..., str]:
    def make(prefix: str, dir: str) -> str:
        path = place / prefix
        path.mkdir(0o700)
        return str(path)

    return make


@pytest.fixture(name="socat")
def fixture_socat(sshd: Sshd, options: dict[str, t.Any], tmp_path: Path) -> Path:
    """A program that is run as socat on the host; to be written."""
    programs = tmp_path / "bin"
    programs.mkdir()
    sshd.stop()
    sshd.start(f"SetEnv PATH={programs}:{os.environ['PATH']}")
    Path(options["known_hosts_file"]).write_text(sshd.known_as(HOST))
    options["port"] = sshd.port
    return programs / "socat"


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_luxi_through_ssh(options: dict[str, t.Any], socat: Path) -> None:
    answer = '{"success": true, "result": {"name": "a"}}\x03'
    _script(socat, f"#!{sys.executable}\nimport os\nwhile os.read(0, 4096): os.write(1, {answer!r}.encode())\n")
    with luxi_over_ssh(SshHost(HOST, options)) as cluster:
        assert cluster.info() == {"name": "a"}
        assert cluster.info() == {"name": "a"}


@pytest.mark.parametrize(
    ("script", "master", "message"),
    [
        ("exit 1", "b2.example", f"{HOST} is not the master of its cluster, b2.example is"),
        ("exit 1", "", "no node of a Ganeti cluster"),
        ("echo Permission denied >&2; exit 1", "", "connect as root"),
        ("exit 127", "", f"socat is missing on {HOST}"),
    ],
)
def test_luxi_through_ssh_that_does_not_answer(
    options: dict[str, t.Any], socat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, master: str, message: str
) -> None:
    _script(socat, f"#!/bin/sh\n{script}\n")
    monkeypatch.setattr(ssh_module, "SSCONF_MASTER", str(tmp_path / "ssconf"))
    if master:
        (tmp_path / "ssconf").write_text(master + "\n")
    with pytest.raises(ConnectionFailed, match=message), luxi_over_ssh(SshHost(HOST, options)) as cluster:
        cluster.info()
