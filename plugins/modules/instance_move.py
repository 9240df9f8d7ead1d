#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move an instance between clusters, or within one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_move
short_description: Move an instance between Ganeti clusters or between the nodes of one
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Moves an instance with its disks, network interfaces, parameters and tags to another cluster, or to another node of its own,
    verifies the copy and only then gives up the source.
  - The disks go straight from the source's primary node to the destination's over mutual TLS 1.3, with certificates made for this one move.
    Holes and zeros are neither sent nor written, so sparse disks stay sparse.
  - Everything that would make the move fail is looked for before anything is changed, and reported in one list.
  - When a step fails, the destination is removed and the source is as it was, running again if it was running.
    A move that was killed is finished or undone by running the same task again.
  - Within a cluster, a twin is made that takes over the name and the hardware addresses when its disks are complete; a source that is kept
    has the name RV(source_name) then. Ganeti runs the OS definition's C(rename) script on both.
  - Nothing has to be installed on the nodes, and the clusters need not share a cluster domain secret.
    The controller needs OpenSSH (or C(paramiko)) and C(cryptography), and SSH access as root to both nodes and to the
    master of the source's cluster, where a process holds the move's lease for as long as it lives. Another run of any controller is refused meanwhile.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.action
  - ganeti.cluster.connection.sides
  - ganeti.cluster.timeouts
  - ganeti.cluster.timeouts.zeroing
  - ganeti.cluster.zeroing_helper
attributes:
  platform:
    platforms: posix
  async:
    details:
      - No progress is shown then. Choose more seconds for C(async) than the move may take.
  delegation:
    details:
      - It runs on the controller and refuses any other host, so tasks of plays for other hosts need C(delegate_to) C(localhost).
  check_mode:
    support: full
    details:
      - Runs the whole preflight, including Ganeti's own check of the new instance, and reports what would happen.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - OpenSSH, or paramiko where it is missing or a password is used
  - cryptography >= 3.3
options:
  name:
    description:
      - Name of the instance on the source cluster, in full or its first labels if these can mean no other. Any name that Ganeti takes.
    type: str
    required: true
  state:
    description:
      - With V(moved), the instance is moved, and a move of it that a dead run has left is finished, or undone and begun anew.
      - With V(aborted), an unfinished move of it is undone, and nothing else is done. What cannot be undone is told, with the commands that decide;
        a move that is running is left alone.
    type: str
    choices: [moved, aborted]
    default: moved
  destination_name:
    description:
      - Name of the instance on the destination cluster. The same name if it is not set. Not for moves within a cluster.
    type: str
  primary_node:
    description:
      - The node to move to. Without it, the destination's allocator chooses.
    type: str
  iallocator:
    description:
      - The allocator that chooses the node. The destination cluster's default if neither this nor O(primary_node) is set.
    type: str
  secondary_node:
    description:
      - The node that has the second copy of disks with the template V(drbd), beside O(primary_node). An allocator chooses both.
    type: str
  disk_template:
    description:
      - The disk template at the destination. The source's if it is not set.
      - Any template can become any other that the destination has enabled; V(ext) needs a provider in O(ext_params).
    type: str
  ext_params:
    description:
      - The C(provider) of disks with the template V(ext) at the destination, and the provider's own parameters, for all disks.
      - What is not named comes along where source and destination have the same provider. Over the remote API a source does not tell its
        parameters, so with O(source.transport=rapi) they have to be named here.
    type: dict
  nics:
    description:
      - What is to change about single network interfaces. Fields that are not named stay as they are, and so do interfaces that are not named.
      - A network brings mode, link and VLAN along. An interface that gets one of these leaves its network and keeps the others.
      - Above what O(nic_map) says.
    type: list
    elements: dict
    default: []
    suboptions:
      index:
        description:
          - The interface, counted from 0.
        type: int
        required: true
      mac:
        description:
          - Whether to keep the hardware address or to let the destination cluster generate another.
        type: str
        choices: [keep, generate]
        default: keep
      ip:
        description:
          - The address; V(none) for none, V(pool) for one out of the network's pool.
        type: str
      mode:
        description:
          - The mode, as V(bridged), V(routed) or V(openvswitch).
        type: str
      link:
        description:
          - The link, as the name of a bridge.
        type: str
      vlan:
        description:
          - The VLAN, as Ganeti writes it, V(.604) or V(604) untagged, V(:604) tagged; V(none) for none.
        type: str
      network:
        description:
          - The network of the destination cluster to join; V(none) to leave the source's and keep its mode, link and VLAN.
        type: str
  nic_map:
    description:
      - What is to change about all network interfaces of a kind, so that many instances can be moved with the same task.
      - The first entry that an interface fits decides. Entries that nothing fits do no harm.
    type: list
    elements: dict
    default: []
    suboptions:
      match:
        description:
          - What an interface has to have at the source, all of it, whether it is set for the interface, inherited or its network's.
        type: dict
        required: true
        suboptions:
          mode:
            description:
              - The mode.
            type: str
          link:
            description:
              - The link.
            type: str
          vlan:
            description:
              - The VLAN.
            type: str
          network:
            description:
              - The network's name.
            type: str
      set:
        description:
          - What it is to have at the destination. As in O(nics).
        type: dict
        required: true
        suboptions:
          mac:
            description:
              - Whether to keep the hardware address or to let the destination cluster generate another.
            type: str
            choices: [keep, generate]
            default: keep
          ip:
            description:
              - No address, or one out of the network's pool. Kept if it is not set.
            type: str
            choices: ['none', pool]
          mode:
            description:
              - The mode.
            type: str
          link:
            description:
              - The link.
            type: str
          vlan:
            description:
              - The VLAN.
            type: str
          network:
            description:
              - The network to join, or V(none).
            type: str
  hvparams:
    description:
      - Hypervisor parameters that are to be others at the destination, as a path to a kernel that is elsewhere there.
      - A parameter that is null takes the destination's default.
    type: dict
  ignore_ipolicy:
    description:
      - Whether the destination is to take the instance even if its instance policy says that it is too large or too small.
    type: bool
    default: false
  osparams_private:
    description:
      - Private OS parameters of the instance. With O(source.transport=ssh) those that are in effect are taken along without being named here,
        the ones that it inherits from its cluster included.
      - Their values appear in no message, result, difference or record.
    type: dict
  compress:
    description:
      - The compression tool that the data goes through, V(none), or V(auto) for the best one.
      - It must be among the C(compression_tools) of both clusters and be installed on both nodes. Worth its while where the network is the slowest part.
      - V(auto) measures the tools that both clusters and both nodes have on a sample of the largest disk, and the network and the encryption
        between the nodes, and takes what is fastest then. That takes some seconds before the instance is stopped, and needs disks that are kept in files.
    type: str
    default: none
  ciphers:
    description:
      - The ciphers that the data may be encrypted with, each by the name that C(openssl ciphers) has for it. TLS 1.3 with its usual suites if it is not set.
      - For moves within a cluster only, and only where its parameter C(allow_cipher_bypassing) is true on both nodes; see M(ganeti.cluster.cluster).
      - Only ciphers that authenticate both ends with elliptic keys are taken, which are those named C(ECDHE-ECDSA-*) and the suites of TLS 1.3.
        V(ECDHE-ECDSA-NULL-SHA) does not encrypt at all.
    type: list
    elements: str
    default: []
  lanes:
    description:
      - How many connections, and processes on each node, the data is spread over.
      - One for each core of the smaller node, four at most, if it is not set.
    type: int
  skip_free_space:
    description:
      - Whether blocks that the guest's file systems say are free are left out. They are neither read nor sent, and read as zeros at the destination.
      - For ext2, ext3, ext4, XFS, btrfs and NTFS on whole disks, in partitions (GPT or MBR), and on simple logical volumes of LVM on one disk.
        All of anything else is copied.
      - A file system is only believed if it was unmounted in order (btrfs, if it has no log tree), so not one of a guest that had to be killed.
        RV(free_space_skipped) has what was skipped, and why not where nothing was.
      - Nothing is mounted. A process on the source's node that may read the disks and nothing else finds out what is free, once the instance is stopped.
        That takes from a tenth of a second to some seconds.
      - What was deleted in the guest cannot be brought back from the copy then. Do not use it where somebody may want to.
    type: bool
    default: false
  zero_free_space:
    description:
      - Whether the free space of the source's file systems is given back before the move, as M(ganeti.cluster.instance_zero) does it, by a helper that is
        booted once in place of the instance's own system. What was given back is neither read nor sent.
      - It happens after the preflight has found nothing, and before the move begins. The instance is as it was in between, and the preflight is done again.
      - V(yes) stops an instance that runs, and starts it again before it is moved. It does not answer meanwhile, and RV(downtime_seconds) does not hold
        that. Without the helper on the source's node, or if the zeroing fails, the move is not begun.
      - V(auto) does it where it pays and can be done, and never stops an instance for it. RV(zeroing) has the reason. If it fails, the move goes on, with a
        warning. It decides by what the file systems say is free, which is read without booting anything, and by the measured speed of the copy.
        Where O(zeroing_method=auto) it writes no zeros then, and it is never chosen where O(zeroing_method=write).
      - V(yes) and V(no) may be written as booleans, too.
      - A run that died in it leaves what M(ganeti.cluster.instance_zero) would leave. The same task ends that first, and so does O(state=aborted).
      - For KVM instances, and not with O(source.transport=rapi).
    type: str
    choices: [auto, 'no', 'yes']
    default: 'no'
  verify:
    description:
      - V(stream) compares a checksum of every block as it arrives, and a digest of every disk at the end, after all is on stable storage.
      - V(readback) uses SHA-256 and computes the destination's digest from what it reads back from storage.
    type: str
    choices: [stream, readback]
    default: stream
  source_after:
    description:
      - What becomes of the source after a successful move.
      - V(fenced) keeps it, marked offline so that nobody starts it, with a tag that names the instance that replaced it. V(removed) removes it and its disks.
    type: str
    choices: [fenced, removed]
    default: fenced
  start:
    description:
      - Whether the instance is to run at the destination.
    type: str
    choices: [as_before, 'yes', 'no']
    default: as_before
  data_network:
    description:
      - Which addresses of the nodes the data takes.
    type: str
    choices: [primary, secondary]
    default: primary
  data_port:
    description:
      - The TCP port on the destination node that the source node connects to. Any free one if it is 0.
    type: int
    default: 0
  opportunistic_tries:
    description:
      - How often to try to create the instance on the nodes that are not locked just then, before waiting for the locks of all nodes. Needs an allocator.
    type: int
    default: 0
  opportunistic_delay:
    description:
      - How long, in seconds, to wait between such tries, more or less.
    type: int
    default: 30
  shutdown_timeout:
    description:
      - How long, in seconds, the instance may take to shut down.
    type: int
    default: 120
  stall_timeout:
    description:
      - How long, in seconds, nothing may move at either end before the copy is given up. There is no other limit to how long it may take.
    type: int
    default: 120
  journal_directory:
    description:
      - Where the controller keeps a record of each move. Holds no secrets.
    type: path
    default: ~/.ansible/ganeti-moves
  progress_socket:
    description:
      - Set by the action plugin of the same name, which shows the events that the module sends there. Not for use in playbooks.
    type: path
seealso:
  - module: ganeti.cluster.cluster
  - module: ganeti.cluster.instance_zero
  - module: ganeti.cluster.compression_benchmark_info
  - name: Moving instances
    description: How moves work, what they need, and how nodes are reached.
    link: https://github.com/ganeti-cluster/ganeti.cluster/blob/main/docs/instance_move.md
"""

EXAMPLES = r"""
- name: Move an instance, keeping the source fenced
  ganeti.cluster.instance_move:
    name: web1.example.com
    source:
      address: alpha.example.com
    destination:
      address: beta.example.com
  delegate_to: localhost

- name: Move over a slow network with lzop, on other network interfaces, and remove the source
  ganeti.cluster.instance_move:
    name: web1.example.com
    source:
      address: alpha.example.com
      cluster_name: alpha.example.com
    destination:
      address: beta.example.com
      cluster_name: beta.example.com
      transport: rapi
      rapi:
        username: mover
        password: "{{ vault_beta_rapi_password }}"
        ca_path: /etc/ssl/beta-rapi.pem
    primary_node: node3.beta.example.com
    compress: lzop
    nics:
      - index: 0
        mac: generate
        link: br-dmz
    verify: readback
    source_after: removed
  delegate_to: localhost

- name: Move all instances of a group, whose networks are called otherwise at the destination
  ganeti.cluster.instance_move:
    name: "{{ item }}"
    source:
      address: alpha.example.com
    destination:
      address: beta.example.com
    nic_map:
      - match:
          network: dmz
        set:
          network: dmz-beta
      - match:
          link: br0
          vlan: "604"
        set:
          vlan: "1604"
  loop: "{{ groups.webservers }}"
  delegate_to: localhost

- name: Move from files to volumes of a provider, with the second cluster's own kernel
  ganeti.cluster.instance_move:
    name: web1.example.com
    source:
      address: alpha.example.com
    destination:
      address: beta.example.com
    disk_template: ext
    ext_params:
      provider: san
      pool: fast
    hvparams:
      kernel_path: /boot/vmlinuz-guest
  delegate_to: localhost

- name: Move an instance after the space of its deleted files was given back, which stops it once before
  ganeti.cluster.instance_move:
    name: web1.example.com
    source:
      address: alpha.example.com
    destination:
      address: beta.example.com
    zero_free_space: true
  delegate_to: localhost

- name: Move to another node of the same cluster over a network that nobody else hears, with a cheaper cipher
  ganeti.cluster.instance_move:
    name: web1.example.com
    source:
      address: alpha.example.com
    primary_node: node2.alpha.example.com
    data_network: secondary
    ciphers:
      - ECDHE-ECDSA-AES128-GCM-SHA256
  delegate_to: localhost
"""

RETURN = r"""
action:
  description: What was done, or would be done in check mode; V(undo) also where only a zeroing of an earlier run was ended.
  returned: success
  type: str
  choices: [move, finish, undo, none]
  sample: move
move_id:
  description: The move's id, as in the tags and in the journal.
  returned: success
  type: str
  sample: 3f0a9c5d1e7b2846
node:
  description: The instance's primary node at the destination, or where it is if there was nothing to do.
  returned: when something was moved or was found there
  type: str
  sample: b1.example.com
source_name:
  description: The name that the source has now, where it was kept.
  returned: when something was moved and O(source_after=fenced)
  type: str
  sample: web1.example.com
disks:
  description: Each disk's size in bytes and its digest, on which both ends agree.
  returned: when disks were copied
  type: list
  elements: dict
  sample: [{size: 1073741824, digest: 5c1f0000000000000000000000000000000000000000000000000000000000a7}]
free_space_skipped:
  description:
    - What was done with the free space of each file system, by disk and partition. V(skipped) is in bytes, and a reason says why nothing was skipped.
  returned: when disks were copied with O(skip_free_space=true)
  type: list
  elements: dict
  contains:
    disk:
      description: The disk, counted from 0.
      type: int
    partition:
      description: The partition's number, with a logical volume in it; V(whole disk) where there are no partitions, or nothing is known of any.
      type: str
    file_system:
      description: What lies there, as far as it is known.
      type: str
    size:
      description: Its size in bytes.
      type: int
    skipped:
      description: How many of these bytes were left out as free.
      type: int
    reason:
      description: Why nothing was left out; null where it was.
      type: str
  sample:
    - {disk: 0, partition: '1', file_system: ext4, size: 4293918720, skipped: 3120562176, reason: null}
    - {disk: 0, partition: '2', file_system: swap space, size: 536870912, skipped: 0, reason: no map is read of swap space}
zeroing:
  description:
    - What was done about the free space before the move, or would be done in check mode.
    - V(method), V(measure), V(before), V(after), V(freed), V(filesystems) and V(seconds) are as M(ganeti.cluster.instance_zero) returns them, where the
      helper ran.
  returned: when an instance was moved, or would be, and O(zero_free_space) is not V(no)
  type: dict
  contains:
    done:
      description: Whether the helper ran, or would run.
      type: bool
    reason:
      description: What came of it, or why it was not done, or would or would not be, in words.
      type: str
    freed:
      description: The bytes that the disks take less, as the node counts.
      returned: when the helper ran
      type: int
  sample: {done: true, reason: "The disks take 2364776448 bytes less, by discarding.", method: discard, freed: 2364776448, seconds: 31.4}
compress:
  description: The compression tool that the data went through, or would go through in check mode.
  returned: when an instance was moved, or would be
  type: str
  sample: lzop
compress_reason:
  description: Why V(auto) chose this tool.
  returned: with O(compress=auto)
  type: str
  sample: "lzop: 71.9 MiB/s of disk, decided by compression, 80 % more than the 40.0 MiB/s without a tool."
payload:
  description: Bytes that were not zero and therefore copied.
  returned: when disks were copied
  type: int
  sample: 314572800
wire:
  description: Bytes given to the network, after compression.
  returned: when disks were copied
  type: int
  sample: 157286400
tls:
  description: What the nodes agreed on, once for each way that connections differ; 0 bits mean that nothing was encrypted.
  returned: when disks were copied
  type: list
  elements: dict
  sample: [{version: TLSv1.3, cipher: TLS_AES_256_GCM_SHA384, bits: 256}]
lanes:
  description: Connections that were used.
  returned: when disks were copied
  type: int
  sample: 2
copy_seconds:
  description: How long the copy took, until it was verified and on stable storage.
  returned: when disks were copied
  type: float
  sample: 2.5
downtime_seconds:
  description: How long the instance was away, from when it was told to shut down until it was started.
  returned: when it was started at the destination
  type: float
  sample: 12.1
seconds:
  description: How long all of it took.
  returned: when something was moved
  type: float
  sample: 25.3
warnings:
  description:
    - What will be different at the destination though nobody asked for it, as a parameter that it does not know; shown by Ansible, too.
    - That an instance that was moved before is on another node than O(primary_node).
  returned: success
  type: list
  elements: str
  sample: ["beta.example.com does not know the hypervisor parameter vhost_net, which is true now: it is left out."]
problems:
  description: All that stands against the move.
  returned: when the preflight fails
  type: list
  elements: str
  sample: ["beta.example.com already has an instance web1.example.com: set destination_name, or remove that instance."]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.move.options import parse
from ansible_collections.ganeti.cluster.plugins.module_utils.move.run import run


def argument_spec() -> _argspec.ArgumentSpec:
    """The options of a move."""
    where = dict(mode=dict(type="str"), link=dict(type="str"), vlan=dict(type="str"), network=dict(type="str"))
    mac = dict(type="str", choices=["keep", "generate"], default="keep")
    nic = dict(index=dict(type="int", required=True), mac=mac, ip=dict(type="str"), **where)
    rule = dict(
        match=dict(type="dict", required=True, options=where),
        set=dict(type="dict", required=True, options=dict(mac=mac, ip=dict(type="str", choices=["none", "pool"]), **where)),
    )
    options = dict(
        name=dict(type="str", required=True),
        state=dict(type="str", choices=["moved", "aborted"], default="moved"),
        destination_name=dict(type="str"),
        primary_node=dict(type="str"),
        secondary_node=dict(type="str"),
        iallocator=dict(type="str"),
        disk_template=dict(type="str"),
        ext_params=dict(type="dict"),
        nics=dict(type="list", elements="dict", default=[], options=nic),
        nic_map=dict(type="list", elements="dict", default=[], options=rule),
        hvparams=dict(type="dict"),
        ignore_ipolicy=dict(type="bool", default=False),
        osparams_private=dict(type="dict", no_log=True),
        compress=dict(type="str", default="none"),
        ciphers=dict(type="list", elements="str", default=[]),
        lanes=dict(type="int"),
        skip_free_space=dict(type="bool", default=False),
        zero_free_space=dict(type="str", choices=["auto", "no", "yes"], default="no"),
        verify=dict(type="str", choices=["stream", "readback"], default="stream"),
        source_after=dict(type="str", choices=["fenced", "removed"], default="fenced"),
        start=dict(type="str", choices=["as_before", "yes", "no"], default="as_before"),
        data_network=dict(type="str", choices=["primary", "secondary"], default="primary"),
        data_port=dict(type="int", default=0),
        opportunistic_tries=dict(type="int", default=0),
        opportunistic_delay=dict(type="int", default=30),
        shutdown_timeout=dict(type="int", default=120),
        stall_timeout=dict(type="int", default=120),
        journal_directory=dict(type="path", default="~/.ansible/ganeti-moves"),
        progress_socket=dict(type="path"),
    )
    own = _argspec.ArgumentSpec(options, mutually_exclusive=[["primary_node", "iallocator"]])
    return own.merge(_argspec.move_sides(), _argspec.timeouts(), _argspec.zeroing_limits(), _argspec.zeroing_helper())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        params = _argspec.withdraw(module, "osparams_private")
        progress = Progress(params["progress_socket"])
        result = run(parse(params), module.check_mode, progress)
        progress.close()
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    for said in result.pop("warnings", ()):
        module.warn(said)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
