"""A small ext4 file system under a service's database, which can be filled, cut off, and brought back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from conftest import Service


def command(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")


class DiskService(Service):
    """Its disk is ours to unmount, when all else has gone."""

    def leftovers(self) -> list[str]:
        return [x for x in super().leftovers() if x != str(self.state / "hub")]


class SmallDisk:
    """Mounted on state/hub, where database and blobs are; nothing else of the service is on it."""

    def __init__(self, service: Service, mib: int) -> None:
        self.base = service.folder
        self.folder = service.state / "hub"
        self.folder.mkdir(parents=True, mode=0o755)
        self.mib = mib
        self.mounts = 0
        self.mount_new(self.folder)

    def mount_new(self, folder: Path) -> None:
        image = self.base / f"disk{self.mounts}"
        self.mounts += 1
        with image.open("wb") as file:
            file.truncate(self.mib << 20)
        command("mkfs.ext4", "-q", "-m", "0", str(image))
        command("mount", "-o", "loop,noatime", str(image), str(folder))
        (folder / "lost+found").rmdir()

    def unmount(self) -> None:
        while os.path.ismount(self.folder):
            command("umount", str(self.folder))

    def replace(self) -> None:
        """After cut_off(), when nobody has a file open: as an administrator would, who copies all to another disk."""
        old = self.base / "old"
        old.mkdir()
        command("mount", "--bind", str(self.folder), str(old))
        try:
            self.unmount()
            self.mount_new(self.folder)
            command("cp", "-a", f"{old}/.", str(self.folder))
        finally:
            command("umount", str(old))
            old.rmdir()

    def fill(self) -> None:
        """Until not one byte more goes in."""
        with (self.folder / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError as e:
                    assert e.errno == 28, e

    def free(self) -> None:
        (self.folder / "ballast").unlink()

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def cut_off(self) -> None:
        """From now on every write fails with EROFS, also of open files: what ext4 itself does after an error of the device."""
        command("sync", "-f", str(self.folder))
        command("mount", "-o", "remount,abort", str(self.folder))

    def read_only(self) -> None:
        command("mount", "-o", "remount,ro", str(self.folder))

    def writable(self) -> None:
        command("mount", "-o", "remount,rw", str(self.folder))
