# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The carrier for controllers without OpenSSH and for passwords, against small servers on loopback made with paramiko's own server side."""

from __future__ import annotations

import collections
import functools
import os
import shlex
import socket
import subprocess
import threading
import typing as t
from collections.abc import Iterator
from pathlib import Path

import paramiko
import paramiko.common
import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    GanetiError,
    HostKeyUnknown,
    InvalidInput,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api import ssh as ssh_module
from ansible_collections.ganeti.cluster.plugins.module_utils.api import ssh_paramiko
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost, luxi_over_ssh
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_paramiko import expand, fingerprint, jump
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_settings import HostSettings

from .sshd import USER, Sshd, make_key, sign

pytestmark = pytest.mark.functional

PASSWORD = "correct horse"


@functools.cache
def key_of(_whose: str) -> paramiko.RSAKey:
    """The key of the host, of another one, or of the user; not made before a test needs it."""
    return paramiko.RSAKey.generate(2048)


class _Transport(paramiko.Transport):
    """Tells which channels' requests were answered."""

    def __init__(self, *arguments: t.Any, **options: t.Any) -> None:
        self.begun: dict[int, threading.Event] = collections.defaultdict(threading.Event)
        super().__init__(*arguments, **options)

    def _send_user_message(self, data: t.Any) -> None:
        super()._send_user_message(data)
        message = paramiko.Message(data.asbytes())
        if message.get_byte() == paramiko.common.cMSG_CHANNEL_SUCCESS:
            self.begun[message.get_int()].set()


class Server(paramiko.ServerInterface):
    """Lets root in with the user's key or PASSWORD, runs commands for real, and forwards TCP."""

    def __init__(self, replaced: dict[str, list[str]]) -> None:
        self.replaced = replaced
        self.forward: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: t.Any) -> int:
        good = key == key_of("user")
        return int(paramiko.common.AUTH_SUCCESSFUL if good else paramiko.common.AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.common.AUTH_SUCCESSFUL if (username, password) == ("root", PASSWORD) else paramiko.common.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_direct_tcpip_request(self, chanid: int, origin: t.Any, destination: tuple[str, int]) -> int:
        self.forward[chanid] = destination
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: t.Any, command: bytes) -> bool:
        argv = shlex.split(command.decode())
        # Looked up here, where it is set: two threads at once would make two of it, and one of them wait for what the other has.
        begun = channel.get_transport().begun[channel.remote_chanid]
        threading.Thread(target=self._run, args=(channel, self.replaced.get(argv[0], argv), begun), daemon=True).start()
        return True

    def _run(self, channel: t.Any, argv: list[str], begun: threading.Event) -> None:
        # A command that ends before the client was told that it began would close the channel under the answer.
        begun.wait(60)
        try:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError:
            channel.send_exit_status(127)
            channel.close()
            return
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin and stdout and stderr
        pumps = [
            threading.Thread(target=_pump, args=(channel.recv, stdin.write, stdin.close), daemon=True),
            threading.Thread(target=_pump, args=(lambda n: os.read(stdout.fileno(), n), channel.sendall, None), daemon=True),
            threading.Thread(target=_pump, args=(lambda n: os.read(stderr.fileno(), n), channel.sendall_stderr, None), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps[1:]:
            pump.join()
        channel.send_exit_status(process.wait())
        channel.close()


def _pump(read: t.Any, write: t.Any, close: t.Any) -> None:
    try:
        while data := read(65536):
            write(data)
            if close:
                write.__self__.flush()
    except OSError:
        pass
    if close:
        try:
            close()
        except OSError:
            pass


class Loopback:
    """A listening SSH server; ``replaced`` maps a command's name to what is run instead."""

    def __init__(self) -> None:
        self.replaced: dict[str, list[str]] = {}
        self.transports: list[t.Any] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(client,), daemon=True).start()

    def _session(self, client: socket.socket) -> None:
        transport = _Transport(client)
        transport.set_log_channel("ganeti.cluster.ssh")
        transport.add_server_key(key_of("host"))
        server = Server(self.replaced)
        self.transports.append(transport)
        try:
            transport.start_server(server=server)
        except (paramiko.SSHException, EOFError, OSError):
            return
        while transport.is_active():
            channel = transport.accept(0.2)
            if channel is not None and channel.get_id() in server.forward:
                outgoing = socket.create_connection(server.forward[channel.get_id()])
                threading.Thread(target=_pump, args=(channel.recv, outgoing.sendall, None), daemon=True).start()
                threading.Thread(target=_pump, args=(outgoing.recv, channel.sendall, None), daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        for transport in self.transports:
            transport.close()


@pytest.fixture(name="server")
def fixture_server() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture(name="options")
def fixture_options(server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    monkeypatch.setattr(ssh_module.shutil, "which", lambda _name: None)
    key_of("user").write_private_key_file(str(tmp_path / "id"))
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key_of('host').get_name()} {key_of('host').get_base64()}\n")
    return {
        "port": server.port,
        "private_key_file": str(tmp_path / "id"),
        "known_hosts_file": str(tmp_path / "known_hosts"),
        "agent": False,
    }


def test_a_command_with_words_of_any_kind(options: dict[str, t.Any]) -> None:
    with SshHost("127.0.0.1", options) as host:
        assert host.run(["printf", "%s|", "a b", "$HOME", "it's", "*"]) == (0, b"a b|$HOME|it's|*|", b"")
        assert host.run(["cat"], input=b"x" * 500_000)[1] == b"x" * 500_000
        status, output, error = host.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (status, output, error) == (3, b"out\n", b"err\n")


def test_a_process_is_read_and_written_at_once(options: dict[str, t.Any]) -> None:
    with SshHost("127.0.0.1", options) as host:
        process = host.popen(["cat"])
        lines = iter(process)
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert next(lines) == word
        process.stdin.close()
        assert list(lines) == []
        assert process.wait(60) == 0


def test_a_killed_process_has_no_status(options: dict[str, t.Any]) -> None:
    with SshHost("127.0.0.1", options) as host:
        process = host.popen(["cat"])
        process.kill()
        assert list(process) == []
        assert process.wait(60) == -1
        with pytest.raises(ConnectionFailed, match="cat on 127.0.0.1 was lost"):
            process.stdin.write(b"x")
        with pytest.raises(ConnectionFailed, match="did not end within 0 s"):
            host.run(["sleep", "20"], timeout=0.2)


def test_a_lost_connection_is_made_anew(server: Loopback, options: dict[str, t.Any]) -> None:
    with SshHost("127.0.0.1", options) as host:
        host.run(["true"])
        for transport in server.transports:
            transport.close()
        host._carrier._transport.join(5)  # type: ignore[union-attr]
        assert host.run(["true"])[0] == 0
        assert len(server.transports) == 2


def test_an_unknown_host_key_is_shown_with_the_way_to_add_it(server: Loopback, options: dict[str, t.Any]) -> None:
    Path(options["known_hosts_file"]).write_text("")
    with pytest.raises(HostKeyUnknown) as unknown, SshHost("127.0.0.1", options) as host:
        host.connect()
    assert fingerprint(key_of("host").asbytes()) in unknown.value.message
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {options['known_hosts_file']}" in unknown.value.message


@pytest.mark.parametrize("revoked", [False, True])
def test_another_host_key_is_refused(server: Loopback, options: dict[str, t.Any], revoked: bool) -> None:
    file = Path(options["known_hosts_file"])
    line = f"[127.0.0.1]:{server.port} {key_of('other').get_name()} {key_of('other').get_base64()}\n"
    file.write_text(f"@revoked * {key_of('host').get_name()} {key_of('host').get_base64()}\n{file.read_text()}" if revoked else line)
    with pytest.raises(HostKeyUnknown, match="revoked" if revoked else "ssh-keygen -R"), SshHost("127.0.0.1", options) as host:
        host.connect()


def test_a_second_key_of_the_same_type_is_as_good(options: dict[str, t.Any], server: Loopback) -> None:
    file = Path(options["known_hosts_file"])
    file.write_text(f"[127.0.0.1]:{server.port} {key_of('other').get_name()} {key_of('other').get_base64()}\n{file.read_text()}")
    with SshHost("127.0.0.1", options) as host:
        host.connect()


def test_the_password_works_and_is_never_shown(options: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    del options["private_key_file"]
    with SshHost("127.0.0.1", {**options, "password": PASSWORD}) as host:
        assert PASSWORD not in repr(host)
        assert host.run(["true"])[0] == 0
    with pytest.raises(AuthenticationFailed) as failed, SshHost("127.0.0.1", {**options, "password": "wrong horse"}) as host:
        host.connect()
    assert "does not let root in with the password" in failed.value.message
    assert "wrong horse" not in str(failed.value.details) + failed.value.message


def test_a_wrong_key_is_named(options: dict[str, t.Any], tmp_path: Path) -> None:
    key_of("other").write_private_key_file(str(tmp_path / "other"))
    with (
        pytest.raises(AuthenticationFailed, match=f"the key {tmp_path}/other"),
        SshHost("127.0.0.1", {**options, "private_key_file": str(tmp_path / "other")}) as host,
    ):
        host.connect()
    key_of("user").write_private_key_file(str(tmp_path / "locked"), password="secret")
    with (
        pytest.raises(AuthenticationFailed, match="locked is encrypted"),
        SshHost("127.0.0.1", {**options, "private_key_file": str(tmp_path / "locked")}) as host,
    ):
        host.connect()
    with (
        pytest.raises(InvalidInput, match="missing does not exist"),
        SshHost("127.0.0.1", {**options, "private_key_file": str(tmp_path / "missing")}) as host,
    ):
        host.connect()


def _known_as(name: str, port: int) -> str:
    return f"[{name}]:{port} {key_of('host').get_name()} {key_of('host').get_base64()}\n"


def test_a_name_that_does_not_resolve_falls_back_but_keeps_its_key(server: Loopback, options: dict[str, t.Any]) -> None:
    with pytest.raises(ConnectionFailed, match="a1.invalid does not resolve"), SshHost("a1.invalid", options) as host:
        host.connect()
    with pytest.raises(HostKeyUnknown), SshHost("a1.invalid", options, fallback_address="127.0.0.1") as host:
        host.connect()
    Path(options["known_hosts_file"]).write_text(_known_as("a1.invalid", server.port))
    with SshHost("a1.invalid", options, fallback_address="127.0.0.1") as host:
        assert host.run(["true"])[0] == 0


def test_nobody_there(options: dict[str, t.Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with (
        pytest.raises(ConnectionFailed, match=f"127.0.0.1 cannot be reached by SSH on 127.0.0.1 port {port}: Connection refused"),
        SshHost("127.0.0.1", {**options, "port": port}) as host,
    ):
        host.connect()


def test_luxi_through_ssh(server: Loopback, options: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = '{"success": true, "result": {"name": "a"}}\x03'
    server.replaced["socat"] = [
        "python3",
        "-c",
        f"import sys; sys.stdin.buffer.read(10); sys.stdout.write({answer!r}); sys.stdout.flush(); sys.stdin.read()",
    ]
    with luxi_over_ssh(SshHost("127.0.0.1", options)) as cluster:
        assert cluster.info() == {"name": "a"}


@pytest.mark.parametrize(
    ("socat", "master", "message"),
    [
        (["false"], "b2.example", "127.0.0.1 is not the master of its cluster, b2.example is"),
        (["false"], "", "no node of a Ganeti cluster"),
        (["sh", "-c", "echo Permission denied >&2; exit 1"], "", "connect as root"),
        (["no-such-command-here"], "", "socat is missing on 127.0.0.1"),
    ],
)
def test_luxi_through_ssh_that_does_not_answer(
    server: Loopback, options: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, socat: list[str], master: str, message: str
) -> None:
    server.replaced["socat"] = socat
    monkeypatch.setattr(ssh_module, "SSCONF_MASTER", str(tmp_path / "ssconf"))
    if master:
        (tmp_path / "ssconf").write_text(master + "\n")
    with pytest.raises(ConnectionFailed, match=message), luxi_over_ssh(SshHost("127.0.0.1", options)) as cluster:
        cluster.info()


def test_a_configuration_needs_openssh(options: dict[str, t.Any], tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    with (
        pytest.raises(InvalidInput, match="needs OpenSSH, which is missing"),
        SshHost("127.0.0.1", {**options, "config_file": str(tmp_path / "config")}) as host,
    ):
        host.connect()


def test_without_either_library_it_says_which_is_needed(options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_paramiko, "HAS_PARAMIKO", False)
    with pytest.raises(GanetiError, match="there is no OpenSSH here, .* pip install paramiko"), SshHost("127.0.0.1", options) as host:
        host.connect()


def test_a_certificate_beside_a_key(tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "certified")
    sign(authority, key, "root")
    answer = HostSettings("a1", "a1", 22, "root", None, (), (str(key),), None, None)
    found = list(ssh_paramiko._Keys(answer, ssh_module.SshOptions(agent=False)))
    assert [label for label, _key in found] == [f"the certificate {key}-cert.pub", f"the key {key}"]
    assert [one.public_blob is not None for _label, one in found] == [True, False]


WITH = HostSettings("a1", "192.0.2.1", 2222, "joe", None, ("/k",), (), "j1:22,joe@j2:23", "nc %h %p")


def test_the_way_through_jump_hosts_is_openssh_s() -> None:
    assert jump("/usr/bin/ssh", "/c", WITH) == ["/usr/bin/ssh", "-F", "/c", "-J", "j1:22", "-W", "[192.0.2.1]:2222", "--", "ssh://joe@j2:23"]
    assert jump("/usr/bin/ssh", "/c", WITH._replace(proxy_jump="ssh://j"))[3:] == ["-W", "[192.0.2.1]:2222", "--", "ssh://j"]


def test_tokens_of_a_proxy_command() -> None:
    assert expand(WITH, "nc -x %n %h %p -l %r 100%% | cat") == "nc -x a1 192.0.2.1 2222 -l joe 100% | cat"
    with pytest.raises(InvalidInput, match="The ProxyCommand for a1 has %C, which cannot be had together with a password"):
        expand(WITH, "nc %C")


def test_a_password_goes_to_the_host_alone_through_openssh_s_jump(
    server: Loopback, sshd: Sshd, user_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, known = tmp_path / "config", tmp_path / "known_hosts"
    config.write_text(
        f"Host far piped\n HostName 127.0.0.1\n IdentityFile /nowhere\nHost far\n ProxyJump {USER}@near\n"
        f"Host near\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {user_key}\nHost piped\n ProxyCommand ssh -F {tmp_path}/other -W %h:%p near | cat\n"
    )
    (tmp_path / "other").write_text(f"UserKnownHostsFile {known}\n{config.read_text()}")
    known.write_text(_known_as("127.0.0.1", server.port) + sshd.known_as("127.0.0.1"))
    options = {"config_file": str(config), "known_hosts_file": str(known), "port": server.port, "agent": False}
    for name in ("far", "piped"):
        with SshHost(name, {**options, "password": PASSWORD}) as host:
            assert host.run(["echo", name])[1] == f"{name}\n".encode()
        with pytest.raises(AuthenticationFailed, match="with the password"), SshHost(name, {**options, "password": "wrong"}) as host:
            host.connect()
    log = (sshd.directory / "log").read_text()
    assert "Accepted publickey" in log and "password" not in log
    known.write_text(_known_as("127.0.0.1", server.port))
    with pytest.raises(HostKeyUnknown, match=r"\(on the way to far\) .* is not in "), SshHost("far", {**options, "password": PASSWORD}) as host:
        host.connect()
