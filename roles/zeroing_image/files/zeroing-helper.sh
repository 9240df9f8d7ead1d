#!/bin/sh
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The zeroing helper: the first and only program of a small system that is booted once, in place of an instance's own, on the instance's disks.
# It frees what the file systems do not use, tells on the serial console how far it is, and powers off.
#
#   zeroing.id=ID                an identifier that each of its messages carries
#   zeroing.mode=discard|write   discard free blocks, where the device takes that, and else leave them; or write zeros into a file that is removed again
#
# What it does not know, and what was not closed in order, it leaves untouched, and says so. It trusts nothing that it finds on a disk:
# names go through `word`, and nothing read is ever run. Whether anything was freed is not for it to say: the node counts.

PATH=/usr/sbin:/usr/bin:/sbin:/bin # busybox prefers its own, which can less: hence the paths of some programs
LVM_SUPPRESS_FD_WARNINGS=1
export PATH LVM_SUPPRESS_FD_WARNINGS
place=/mnt
room=$place/.ganeti-zeroing # a directory; what a helper that was killed has left there is removed by the next one
tty=/dev/ttyS0
id=none mode='discard'
zeroed=0 left=0 total=0 interrupted='' at=''
piece=67108864 # bytes of zeros in one file

# --- What it says: a line of JSON, on a line of its own whatever the kernel has written before. Closing the terminal waits until it is out.

say() { # EVENT [MEMBERS]
  printf '\n{"zeroing":"%s","event":"%s"%s}\n' "$id" "$1" "${2:+,$2}" >$tty
}

word() { # TEXT, cut to what needs no quotes
  printf '%s' "$1" | tr -cd 'A-Za-z0-9/_.+-' | cut -c 1-100
}

leave() { # WHY
  left=$((left + 1))
  say left "$at,\"why\":\"$1\""
}

done_with() { # BYTES
  zeroed=$((zeroed + 1)) total=$((total + $1))
  say zeroed "$at,\"bytes\":$1"
}

progress() { # PERCENT BYTES
  say progress "$at,\"percent\":$1,\"bytes\":$2"
}

# --- Reading

number() { # DEVICE OFFSET LENGTH: a little-endian number of 1, 2 or 4 bytes
  hexdump -s "$2" -n "$3" -e "1/$3 \"%u\"" "$1" 2>/dev/null
}

field() { # NAME, of what blkid has found
  printf '%s\n' "$found" | sed -n "s/^$1=//p" | head -n 1
}

look_at() { # DEVICE: sets `found`, and `kind` to its type; "" where it has none, "ambiguous" where it has several
  found=$(/usr/sbin/blkid -p -o export "$1" 2>/dev/null)
  case $? in
    0) kind=$(word "$(field TYPE)") ;;
    8) kind=ambiguous ;;
    *) kind='' ;;
  esac
}

load() { # MODULE..., with what they need
  for module; do
    [ -e "/modules/$module" ] || continue
    while read -r file; do insmod "/modules/$file" 2>/dev/null; done <"/modules/$module"
  done
}

# --- Mounting. A kernel replays no journal of a device that cannot be written: so what mounts there was closed in order.

opens_unchanged() { # TYPE DEVICE
  /usr/sbin/blockdev --setro "$2" || return 1
  mount -t "$1" -o ro "$2" $place 2>/dev/null
  opened=$?
  [ $opened -ne 0 ] || umount $place
  /usr/sbin/blockdev --setrw "$2" || return 1
  return $opened
}

ext_is_clean() { # DEVICE: closed (1), without known errors (2), nothing in the journal (4 of the features)
  state=$(number "$1" 1082 2) features=$(number "$1" 1120 4)
  [ -n "$state" ] && [ -n "$features" ] && [ $((state & 3)) -eq 1 ] && [ $((features & 4)) -eq 0 ]
}

fat_is_clean() { # DEVICE: neither Linux (in the first sector) nor Windows (in the second entry of the table) has left a mark
  table=$(($(number "$1" 14 2) * $(number "$1" 11 2)))
  case $(field VERSION) in
    FAT32) [ $(($(number "$1" 65 1) & 1)) -eq 0 ] && [ $(($(number "$1" $((table + 4)) 4) & 0x08000000)) -ne 0 ] ;;
    FAT16) [ $(($(number "$1" 37 1) & 1)) -eq 0 ] && [ $(($(number "$1" $((table + 2)) 2) & 0x8000)) -ne 0 ] ;;
    FAT12) [ $(($(number "$1" 37 1) & 1)) -eq 0 ] ;;
    *) return 1 ;;
  esac
}

ntfs_is_clean() { # DEVICE: not marked for a check; closed in order, not hibernated, not by fast start-up either
  ntfsinfo -m "$1" >/dev/null 2>&1 && ntfs-3g.probe --readwrite "$1" >/dev/null 2>&1
}

is_clean() { # TYPE DEVICE
  case $1 in
    ext2 | ext3 | ext4) ext_is_clean "$2" && opens_unchanged "$1" "$2" ;;
    vfat) fat_is_clean "$2" && opens_unchanged "$1" "$2" ;;
    ntfs) ntfs_is_clean "$2" ;;
    *) opens_unchanged "$1" "$2" ;;
  esac
}

attach() { # TYPE DEVICE
  case $1 in
    ntfs) ntfs-3g -o norecover,noatime "$2" $place ;;
    btrfs) mount -t btrfs -o noatime,compress=no,skip_balance,subvolid=5 "$2" $place ;;
    xfs) mount -t xfs -o noatime,nouuid "$2" $place ;;
    *) mount -t "$1" -o noatime "$2" $place ;;
  esac 2>/dev/null
}

detach() {
  sync
  umount $place
}

# --- Freeing

discards() { # DEVICE: whether it says that it takes discards; a partition's disk says so for it
  device=$(readlink -f "/sys/class/block/${1##*/}")
  [ -e "$device/queue" ] || device=${device%/*}
  [ "$(cat "$device/queue/discard_max_bytes" 2>/dev/null || echo 0)" -gt 0 ]
}

trim() { # OFFSET LENGTH: adds to `bytes`
  said=$(/usr/sbin/fstrim -v -o "$1" ${2:+-l "$2"} $place 2>/dev/null) || return 1
  freed=$(printf '%s' "$said" | sed -n 's/.*(\([0-9]*\) bytes).*/\1/p')
  bytes=$((bytes + ${freed:-0}))
}

discard_free() { # TYPE: in pieces where the file system counts as the device does, so that there is something to tell
  bytes=0 offset=0 step=0
  case $1 in
    ext* | xfs)
      size=$(($(stat -f -c '%b * %S' $place)))
      step=$((size / 20 / 1048576 * 1048576))
      [ $step -ge 1073741824 ] || step=1073741824
      while [ $((offset + step)) -lt "$size" ] && [ -z "$interrupted" ]; do
        trim $offset $step || return 1
        offset=$((offset + step))
        progress $((offset / (size / 100 + 1))) $bytes
      done
      ;;
  esac
  [ -n "$interrupted" ] || trim $offset ''
}

forget() { # what was written to be removed
  [ -d $room ] || return 0
  rm -f $room/zeros-* && rmdir $room
}

fill() { # write until nothing more goes in; whatever ends it, nothing stays
  free=$(($(stat -f -c '%f * %S' $place))) bytes=0 file=0
  forget && mkdir $room || return 1
  while [ -z "$interrupted" ] && dd if=/dev/zero of=$room/zeros-$file bs=1M count=$((piece / 1048576)) conv=fsync 2>/dev/null; do
    file=$((file + 1)) bytes=$((bytes + piece))
    [ $bytes -gt "$free" ] || progress $((bytes / (free / 100 + 1))) $bytes
  done
  for size in 4096 512; do # the last file had no room for a whole mebibyte more
    [ -n "$interrupted" ] || dd if=/dev/zero of=$room/zeros-$size bs=$size conv=fsync 2>/dev/null
  done
  bytes=$free
  sync
  forget
}

zero_filesystem() { # TYPE DEVICE
  case $1 in
    vfat) load nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 vfat ;;
    ntfs) load fuse ;;
    ext*) load ext4 ;;
    *) load "$1" ;;
  esac
  is_clean "$1" "$2" || { leave 'not clean, or of a kind that cannot be opened here'; return; }
  attach "$1" "$2" || { leave 'cannot be mounted'; return; }
  forget
  if [ $mode = discard ]; then # and nothing is written then: a sparse disk would grow by it
    why='does not take discards'
    discards "$2" && discard_free "$1"
  else
    why='nothing can be written to it'
    fill
  fi
  outcome=$?
  if [ -n "$interrupted" ]; then
    detach
  elif [ $outcome -eq 0 ]; then
    detach && done_with "$bytes"
  else
    detach
    leave "$why"
  fi
}

zero_swap() { # DEVICE: all but the first page, which has signature, UUID and label
  [ "$(hexdump -s 4086 -n 10 -e '10/1 "%c"' "$1")" = SWAPSPACE2 ] || { leave 'swap with another page size'; return; }
  size=$(($(/usr/sbin/blockdev --getsize64 "$1") - 4096))
  if [ $mode = discard ]; then
    if discards "$1" && /usr/sbin/blkdiscard -f -o 4096 -l $size "$1" 2>/dev/null; then done_with $size; else leave 'does not take discards'; fi
  elif /usr/sbin/blkdiscard -f -z -o 4096 -l $size "$1" 2>/dev/null; then
    done_with $size
  else
    leave 'cannot be written'
  fi
}

# --- What there is

visit() { # DISK DEVICE NAME
  look_at "$2"
  [ "$(field LABEL)" != GANETIZERO ] || [ "$(field UUID)" != 5A45-524F ] || return # what this was booted from
  at="\"disk\":$1,\"device\":\"$(word "$3")\",\"fs\":\"$kind\""
  [ -z "$interrupted" ] || return
  case $kind in
    ext2 | ext3 | ext4 | xfs | btrfs | vfat | ntfs) progress 0 0; zero_filesystem "$kind" "$2" ;;
    swap) progress 0 0; zero_swap "$2" ;;
    LVM2_member) volumes=1 ;;
    '') leave 'nothing known on it' ;;
    *) leave 'of a kind that is left alone' ;;
  esac
}

parts() { # DISK'S NAME: its partitions; itself where it has none. An extended partition, of two sectors, only holds others.
  any=''
  for part in "/sys/block/$1/$1"*; do
    [ -e "$part/partition" ] || continue
    any=1
    [ "$(cat "$part/size")" -le 2 ] || echo "${part##*/}"
  done
  [ -n "$any" ] || echo "$1"
}

volumes_problem() { # GROUP VOLUME: what stands against visiting it; "" for nothing
  attributes=$(awk -F '|' -v group="$1" '$1 == group { print $2 }' /run/groups)
  case $attributes in
    w?--?-) ;;
    *) echo 'its volume group is not whole, or others have it' ;;
  esac
  awk -F '|' -v group="$1" -v volume="$2" '$1 == group && $2 == volume && !($3 ~ /^-/ && $4 ~ /^(linear|striped)$/) { odd = 1 }
    END { if (odd) print "a volume of a kind that is left alone" }' /run/volumes
}

list_volumes() { # to files in /run: groups, segments and names of logical volumes
  load dm_mod
  lvm vgs --noheadings --separator '|' -o vg_name,vg_attr | tr -d ' ' >/run/groups
  lvm lvs --noheadings --separator '|' --segments -o vg_name,lv_name,lv_attr,segtype | tr -d ' ' | sort -u >/run/volumes
  cut -d '|' -f 1,2 /run/volumes | sort -u >/run/names
}

open_volume() { # GROUP VOLUME: sets `device`
  lvm lvchange -ay "$1/$2" || return 1
  numbers=$(lvm lvs --noheadings --separator : -o lv_kernel_major,lv_kernel_minor "$1/$2" | tr -d ' ')
  device=$(readlink -f "/sys/dev/block/$numbers")
  device=/dev/${device##*/}
}

visit_volumes() { # logical volumes of the plain kinds: of others, what is written or discarded may cost another volume something
  while IFS='|' read -r group volume <&3; do
    at="\"disk\":null,\"device\":\"$(word "$group/$volume")\",\"fs\":\"\""
    problem=$(volumes_problem "$group" "$volume" | head -n 1)
    if [ -n "$problem" ]; then
      leave "$problem"
    elif open_volume "$group" "$volume"; then
      visit null "$device" "$group/$volume"
      lvm lvchange -an "$group/$volume"
    else
      leave 'cannot be activated'
    fi
  done 3</run/names
}

is_asleep() { # DEVICE: whether a system was put to sleep in it, also where blkid finds other marks besides
  look_at "$1"
  [ "$kind" != swsuspend ] || return 0
  case $(hexdump -s 4086 -n 9 -e '9/1 "%c"' "$1" 2>/dev/null) in
    S1SUSPEND | S2SUSPEND | ULSUSPEND) return 0 ;;
    *) return 1 ;;
  esac
}

volumes_sleep() { # the same of logical volumes; nothing has been written yet, and nothing is by this
  while IFS='|' read -r group volume <&3; do
    [ -z "$(volumes_problem "$group" "$volume")" ] || continue
    open_volume "$group" "$volume" || continue
    is_asleep "$device"
    asleep=$?
    lvm lvchange -an "$group/$volume"
    [ $asleep -ne 0 ] || return 0
  done 3</run/names
  return 1
}

sleeps() { # whether a system was put to sleep in one of these, and counts on finding all as it was
  members=''
  for disk in $disks; do
    for part in $(parts "$disk"); do
      ! is_asleep "/dev/$part" || return 0
      [ "$kind" != LVM2_member ] || members=1
    done
  done
  [ -n "$members" ] || return 1
  list_volumes
  volumes_sleep
}

is_dynamic() { # DISK'S NAME: whether Windows has volumes over several disks on it, whose pieces look like partitions; the kernel may show these pieces
  [ "$(parts "$1")" != "$1" ] || return 1 # its first sector may be a file system's
  if [ "$(number "/dev/$1" 510 2)" = 43605 ]; then
    for offset in 450 466 482 498; do
      [ "$(number "/dev/$1" $offset 1)" != 66 ] || return 0
    done
  fi
  for part in $(parts "$1"); do
    look_at "/dev/$part"
    case $(field PART_ENTRY_TYPE | tr A-F a-f) in
      0x42 | af9b60a0-1431-4f62-bc68-3311714a69ad | 5808c8aa-7e8f-42e0-85d2-e1e90434cfb3) return 0 ;;
    esac
  done
  return 1
}

visit_disks() {
  number=0 volumes=''
  for disk in $disks; do
    if is_dynamic "$disk"; then
      at="\"disk\":$number,\"device\":\"$(word "$disk")\",\"fs\":\"\""
      leave 'a dynamic disk of Windows'
    else
      for part in $(parts "$disk"); do visit $number "/dev/$part" "$part"; done
    fi
    number=$((number + 1))
  done
  [ -z "$volumes" ] || [ -n "$interrupted" ] || visit_volumes
}

# --- Beginning and end

watch_power_button() { # Ganeti presses it when it wants an end
  # shellcheck disable=SC2013 # they are words
  for handler in $(sed -n '/^N: Name="Power Button"/,/^$/s/^H: .*\(event[0-9]*\).*/\1/p' /proc/bus/input/devices); do
    { dd if=/dev/input/"$handler" of=/dev/null bs=24 count=1 2>/dev/null; kill -TERM 1; } &
  done
}

begin() {
  /bin/busybox --install -s /bin
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t devtmpfs dev /dev 2>/dev/null
  mount -t tmpfs run /run
  exec </dev/null >/dev/null 2>/dev/null # so that $tty is open only while something is said
  # shellcheck disable=SC2013 # they are words
  for argument in $(cat /proc/cmdline); do
    case $argument in
      zeroing.id=*) id=$(word "${argument#*=}") ;;
      zeroing.mode=write) mode='write' ;;
    esac
  done
  load virtio_pci virtio_blk virtio_scsi sd_mod button evdev
  watch_power_button
  # shellcheck disable=SC2012 # the kernel's names, and in busybox there is no other that sorts
  disks=$(cd /sys/block && ls -d vd? vd?? sd? sd?? 2>/dev/null | awk '{ print length($0), $0 }' | sort -n | cut -d ' ' -f 2)
}

trap 'interrupted=1' TERM INT
begin
# shellcheck disable=SC2086 # they are words
set -- $disks
say started "\"mode\":\"$mode\",\"disks\":$#"
if sleeps; then
  say asleep
else
  visit_disks
fi
sync
if [ -n "$interrupted" ]; then say interrupted; else say finished "\"bytes\":$total,\"zeroed\":$zeroed,\"left\":$left"; fi
poweroff -f
