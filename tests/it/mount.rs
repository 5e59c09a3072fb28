//! A small file system of the test's own, in a mount namespace that goes away with it: nobody else sees it, and nothing
//! is left behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::harness::{Shop, say_skipped};

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On a loop device, as a till has it.
    Ext4,
    Tmpfs,
}

/// A mounted file system for a shop's state.
pub(crate) struct Mount {
    keeper: Child,
    /// The keeper ends when this is closed, even if the test is killed.
    _leash: ChildStdin,
    place: PathBuf,
}

impl Mount {
    /// Mounts a file system of so many MiB over the directory that the shop's state is in. `None`: not permitted here, or a
    /// tool is missing; it is said.
    pub(crate) fn under(shop: &Shop, kind: Kind, mebibytes: u64) -> Option<Mount> {
        let place = shop.path("disk");
        fs::create_dir(&place).unwrap();
        let mount = match kind {
            Kind::Tmpfs => {
                format!("mount -t tmpfs -o size={mebibytes}m,mode=700 etims-test {}", place.display())
            }
            Kind::Ext4 => {
                let image = shop.path("disk.img");
                File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
                format!(
                    "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0 {image} && \
                     mount -o loop,errors=remount-ro {image} {place}",
                    image = image.display(),
                    place = place.display()
                )
            }
        };
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(format!("PATH=$PATH:/usr/sbin:/sbin; {mount} && echo mounted && exec cat"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let leash = keeper.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.trim() != "mounted" {
            let output = keeper.wait_with_output().unwrap();
            say_skipped(&format!(
                "SKIPPED on {kind:?}: no file system can be mounted here: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
            return None;
        }
        shop.change("state_dir", &format!("{:?}", place.join("state")));
        let mount = Mount { keeper, _leash: leash, place };
        shop.run_in(&mount.entrance());
        Some(mount)
    }

    /// The words that start a program where the file system is mounted; the program takes their process' place.
    pub(crate) fn entrance(&self) -> Vec<String> {
        ["nsenter", "--mount", "--target", &self.keeper.id().to_string(), "--"].map(str::to_owned).to_vec()
    }

    /// A file of it, as it is seen from outside.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        let inside = self.place.join(name);
        Path::new("/proc")
            .join(self.keeper.id().to_string())
            .join("root")
            .join(inside.strip_prefix("/").unwrap())
    }

    /// Free for anybody, bytes.
    pub(crate) fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.outside("")).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Somebody else fills the disk until only so much is free.
    pub(crate) fn leave_free(&self, bytes: u64) {
        let file = File::options().create(true).append(true).open(self.outside("somebody-elses")).unwrap();
        let chunk = vec![0x5a; 256 << 10];
        let mut at = file.metadata().unwrap().len();
        loop {
            let surplus = usize::try_from(self.free().saturating_sub(bytes)).unwrap().min(chunk.len());
            if surplus == 0 {
                break;
            }
            match file.write_at(&chunk[..surplus], at) {
                Ok(written) => at += u64::try_from(written).unwrap(),
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => panic!("filling the disk: {error}"),
            }
            // Blocks are given out when they are written back.
            let _ = file.sync_all();
        }
    }

    /// Somebody else tidies up.
    pub(crate) fn tidy(&self) {
        fs::remove_file(self.outside("somebody-elses")).unwrap();
    }

    /// Mounts it read-only, or writable again; nothing may have a file open for writing.
    #[track_caller]
    pub(crate) fn remount(&self, how: &str) {
        let mut words = self.entrance();
        words.extend(
            ["mount", "-o", &format!("remount,{how}"), &self.place.display().to_string()].map(str::to_owned),
        );
        let ended = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    /// ext4 meets an error of its own, as a worn card brings it about: from now on everything is refused. False: this
    /// kernel cannot be asked for that.
    pub(crate) fn break_down(&self) -> bool {
        let mounts =
            fs::read_to_string(Path::new("/proc").join(self.keeper.id().to_string()).join("mounts")).unwrap();
        let place = self.place.display().to_string();
        let device = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&place)).unwrap();
        let device = device.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
        let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
        match File::options().write(true).open(&trigger).and_then(|mut file| file.write_all(b"a test")) {
            Ok(()) => true,
            Err(error) => {
                say_skipped(&format!("SKIPPED: {}: {error}", trigger.display()));
                false
            }
        }
    }

    /// Takes it off and puts it on again, as a restart of the machine does.
    #[track_caller]
    pub(crate) fn again(&self, shop: &Shop) {
        let image = shop.path("disk.img");
        let place = self.place.display();
        let mut words = self.entrance();
        let script = format!(
            "PATH=$PATH:/usr/sbin:/sbin; umount {place}; e2fsck -p {image}; [ $? -le 1 ] && \
             mount -o loop,errors=remount-ro {image} {place}",
            image = image.display()
        );
        words.extend(["sh", "-c", &script].map(str::to_owned));
        let ended = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The namespace ends with its last process, and the mount with the namespace.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
