# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Odd configurations: what comes of them must be what ``ssh -G`` says without us, but for what we insist on."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import ssh_settings
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_settings import SETTINGS, HostSettings, SshOptions, Workspace, ask, check, ssh_options

SSH = shutil.which("ssh") or "ssh"


def answer(config: Path, name: str = "a1", **options: t.Any) -> HostSettings:
    chosen = ssh_options(name, {"config_file": str(config), **options})
    place = Workspace(name, chosen)
    try:
        return ask(SSH, name, chosen, place)
    finally:
        place.remove()


def plain(config: Path, name: str, *more: str) -> dict[str, list[str]]:
    """What ssh -G says of a configuration without us."""
    argv = [SSH, "-G", "-F", str(config), *more, name]
    found: dict[str, list[str]] = {}
    for line in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines():
        key, _separator, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


#: A file, and what it must make of the host a1.
ODD: dict[str, tuple[str, dict[str, t.Any]]] = {
    "a comment behind a port": ("Host a1\n Port 2200 # x\n", {"port": 2200}),
    "a comment behind a name": ("Host a1\n HostName 192.0.2.1 # the rack's\n", {"hostname": "192.0.2.1"}),
    "a comment with an apostrophe": ("# the rack's server\nHost a1\n Port 2201\n", {"port": 2201}),
    "Match for another host": ("Match Host other\n Port 2202\n", {"port": 22}),
    "Match host=": ("Match host=a1\n Port 2203\n", {"port": 2203}),
    "Match exec that fails": ('Match exec "test %h = other"\n Port 2204\n', {"port": 22}),
    "Match exec that succeeds": ('Match exec "test %h = a1"\n Port 2205\n', {"port": 2205}),
    "Include behind a Host line that fits": ("Host a1\n Include {more}\n", {"port": 2206}),
    "Include behind a Host line that does not": ("Host other\n Include {more}\n", {"port": 22}),
    "an equals sign": ("Host=a1\n Port=2207\n HostName = 192.0.2.7\n", {"port": 2207, "hostname": "192.0.2.7"}),
    "quotes": ('Host "a1"\n User "joe"\n UserKnownHostsFile "/k/1" /k/2\n', {"user": "joe", "known_hosts": ("/k/1", "/k/2", *["*"])}),
    "negation": ("Host * !a1\n Port 2208\nHost a?\n Port 2209\n", {"port": 2209}),
    "the first value counts": ("Host a1\n Port 2210\nHost *\n Port 2211\n", {"port": 2210}),
    "tokens in a name": ("Host a1\n HostName %h.example.net\n", {"hostname": "a1.example.net"}),
    "a ProxyCommand for a shell": (
        "Host a1\n ProxyCommand ssh -W %h:%p ${HOME}/x | tee log; exit\n",
        {"proxy_command": "ssh -W %h:%p ${HOME}/x | tee log; exit"},
    ),
    "no ProxyCommand": ("Host a1\n ProxyCommand none\nHost *\n ProxyCommand false\n", {"proxy_command": None}),
    "jumps": ("Host a1\n ProxyJump joe@j1:2022,j2\n", {"proxy_jump": "joe@j1:2022,j2"}),
    "no jump": ("Host a1\n ProxyJump none\nHost *\n ProxyJump j\n", {"proxy_jump": None}),
    "an alias": ("Host a1\n HostKeyAlias Cluster-A\n Port 2212\n", {"key_alias": "cluster-a", "key_name": "cluster-a"}),
    "a key's other port": ("Host a1\n Port 2213\n", {"key_name": "[a1]:2213"}),
    "canonical names": ("CanonicalizeHostname yes\nCanonicalizeFallbackLocal yes\nCanonicalDomains lab.invalid\n", {"hostname": "a1"}),
    "Match final": ("Match final host a1\n Port 2214\n", {"port": 2214}),
    "no user": ("", {"user": "root", "port": 22, "hostname": "a1", "key_name": "a1"}),
    "the user's own name": (f"Host a1\n User {getpass.getuser()}\n", {"user": getpass.getuser()}),
    "a setting of another system": ("IgnoreUnknown UseKeychain\nUseKeychain yes\nPort 2215\n", {"port": 2215}),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_files_mean_what_openssh_says(tmp_path: Path, case: str) -> None:
    text, expected = ODD[case]
    (tmp_path / "more").write_text("Port 2206\n")
    config = tmp_path / "config"
    config.write_text(text.replace("{more}", str(tmp_path / "more")))
    found = answer(config)
    for key, value in expected.items():
        got = getattr(found, key)
        assert got[:2] == value[:2] if key == "known_hosts" else got == value
    theirs = plain(config, "a1")
    assert [found.hostname] == theirs["hostname"] and [str(found.port)] == theirs["port"]
    assert list(found.key_files) == [os.path.expanduser(file) for file in theirs["identityfile"]]
    assert (found.proxy_command or "none") == theirs.get("proxycommand", ["none"])[0]
    assert (found.proxy_jump or "none") == theirs.get("proxyjump", ["none"])[0]
    assert [found.key_alias] == theirs.get("hostkeyalias", [None])
    assert " ".join(found.known_hosts) == " ".join(
        os.path.expanduser(file) for key in ("userknownhostsfile", "globalknownhostsfile") for file in theirs[key][0].split()
    )


def test_match_localnetwork_is_openssh_s(tmp_path: Path) -> None:
    """Known from OpenSSH 9.4 on; older ones say so and the file is refused, as on the command line."""
    config = tmp_path / "config"
    config.write_text("Match localnetwork 203.0.113.0/24\n Port 2222\n")
    theirs = subprocess.run([SSH, "-G", "-F", str(config), "a1"], capture_output=True, text=True, check=False)
    if theirs.returncode:
        with pytest.raises(InvalidInput, match=r"does not take its configuration for a1: .*[Uu]nsupported Match attribute localnetwork"):
            answer(config)
    else:
        assert answer(config).port == 22


#: What a configuration may say that must not come true.
WEAK = """
StrictHostKeyChecking no
VerifyHostKeyDNS yes
NoHostAuthenticationForLocalhost yes
UpdateHostKeys yes
BatchMode no
ControlMaster auto
ControlPath /tmp/%C
ControlPersist yes
ForwardAgent yes
ForwardX11 yes
GSSAPIDelegateCredentials yes
ClearAllForwardings no
LocalForward 8080 localhost:80
Tunnel yes
PermitLocalCommand yes
LocalCommand touch /nowhere
RemoteCommand reboot
RequestTTY force
ServerAliveInterval 0
ServerAliveCountMax 1000
LogLevel QUIET
ConnectTimeout 99
"""


@pytest.mark.parametrize("name", ["a1", "jump"])
def test_no_configuration_weakens_ours_for_the_host_or_a_jump(tmp_path: Path, name: str) -> None:
    config = tmp_path / "config"
    config.write_text("Host jump\n StrictHostKeyChecking accept-new\nHost *\n" + WEAK)
    place = Workspace("a1", ssh_options("a1", {"config_file": str(config), "connect_timeout": 7}))
    try:
        found = plain(Path(place.config), name)
        without = tmp_path / "without"
        without.write_text("\n".join(f"{key} {value}" for key, value in SETTINGS) + "\nConnectTimeout 7\n")
        ours = plain(without, name)
    finally:
        place.remove()
    for key, _value in (*SETTINGS, ("ConnectTimeout", "7")):
        assert found.get(key.lower()) == ours.get(key.lower()), key
    assert found["stricthostkeychecking"] in (["true"], ["yes"]) and found["user"] == (["root"] if name == "a1" else [getpass.getuser()])


def test_what_is_checked_is_there() -> None:
    good = "\n".join(f"{key} {values[0]}" for key, values in ssh_settings._REQUIRED.items()) + "\nhostname a1\nport 22\nuser root\n"
    assert check("a1", good).port == 22
    for key, values in ssh_settings._REQUIRED.items():
        line = f"{key} {values[0]}\n"
        for bad in (good.replace(line, ""), good.replace(line, f"{key} other\n"), good.replace(line, f"{key} other\n{line}")):
            with pytest.raises(InvalidInput, match=f"with {key} .*: nothing is sent that way"):
                check("a1", bad)
    with pytest.raises(InvalidInput, match="would leave a connection behind"):
        check("a1", good + "forkafterauthentication yes\n")
    with pytest.raises(InvalidInput, match="is not OpenSSH's"):
        check("a1", good.replace("port 22\n", ""))


def test_fork_after_authentication_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("ForkAfterAuthentication yes\n")
    with pytest.raises(InvalidInput, match="forkafterauthentication to yes for a1"):
        answer(tmp_path / "config")


def test_options_come_before_the_configuration(tmp_path: Path) -> None:
    key = tmp_path / "my %h key"
    key.write_text("")
    config = tmp_path / "my [own] 'config'"
    config.write_text(f"User joe\nPort 99\nIdentityFile {tmp_path}/other\nUserKnownHostsFile /k\nProxyJump j\n")
    config.chmod(0o666)
    known = tmp_path / 'known "hosts" $HOME %h'
    found = answer(config, user="root", port=22, private_key_file=str(key), known_hosts_file=str(known))
    assert (found.user, found.port, found.proxy_jump) == ("root", 22, "j")
    assert found.key_files == (str(key), f"{tmp_path}/other")
    assert found.known_hosts == (str(known),)


def test_files_are_called_what_the_user_calls_them(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a1\n Colour blue\n")
    with pytest.raises(InvalidInput) as refused:
        answer(config)
    assert f"{config}: line 2: Bad configuration option: colour" in refused.value.message
    assert "ganeti-ssh-" not in refused.value.message


@pytest.mark.parametrize("name", ["a 1", "a1\nProxyCommand x", "*", "", "-oProxyCommand=x", "joe@a1", "a/b", "a1\n", "ssh://a1", "a'b", "a;b"])
def test_a_name_cannot_be_configuration_or_an_option(name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name of a host"):
        ssh_options(name, {})


@pytest.mark.parametrize("user", ["a b", "-l", "", "a\nb", "a;b", "$(x)"])
def test_nor_can_a_user(user: str) -> None:
    with pytest.raises(InvalidInput, match="is no name of a user"):
        ssh_options("a1", {"user": user})


@given(st.text(max_size=40))
def test_names_that_pass_stay_one_word(name: str) -> None:
    try:
        ssh_options(name, {})
    except InvalidInput:
        return
    assert name.split() == [name] and not name.startswith("-") and not set(name) & set("\"'\\$`*?!#,;|&<>(){}[]/@=~")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports(port: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 65535"):
        ssh_options("a1", {"port": port})


def test_files_that_were_named_must_exist() -> None:
    with pytest.raises(InvalidInput, match="The SSH configuration /nowhere/config does not exist: correct config_file"):
        ssh_options("a1", {"config_file": "/nowhere/config"})
    with pytest.raises(InvalidInput, match="The private key file /nowhere/key does not exist: correct private_key_file"):
        ssh_options("a1", {"private_key_file": "/nowhere/key"})


def test_the_place_is_ours_alone_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    place = Workspace("a1", SshOptions())
    try:
        assert len(place.socket) + len(".0123456789abcdef") < 104
        assert os.stat(place.directory).st_mode & 0o777 == 0o700
    finally:
        place.remove()
    assert not os.path.exists(place.directory)


def test_an_agent_that_is_not_wanted_is_not_asked(tmp_path: Path) -> None:
    assert "IdentityAgent none" in ssh_settings.openssh_config("a1", SshOptions(agent=False), None, None)
    assert "IdentityAgent" not in ssh_settings.openssh_config("a1", SshOptions(), None, None)
