#!/bin/sh
# melt.sh FOLDER: put MLT's melt of Debian sid, an OpenFX host nobody here wrote, into FOLDER.
#
# Nothing outside FOLDER is touched; about 1 GB. It needs root, as debootstrap does. MLT is under
# the GPL: it runs as a process of its own, and nothing of it is part of relume. FOLDER/melt then
# runs it with the modules that are needed; the others look for sound cards and screens.

set -eu
[ $# = 1 ] || { echo "usage: melt.sh FOLDER" >&2; exit 2; }
command -v debootstrap > /dev/null || {
  echo "melt.sh: debootstrap is missing: run 'sudo apt-get install debootstrap'." >&2; exit 3; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$folder/root
libraries=$root/usr/lib/x86_64-linux-gnu

if [ ! -x "$root/usr/bin/melt-7" ]; then
  debootstrap --variant=minbase sid "$root"
  chroot "$root" apt-get install -y --no-install-recommends melt
fi

mkdir -p "$folder/modules"
for module in core avformat openfx; do
  ln -sf "$libraries/mlt-7/libmlt$module.so" "$folder/modules/"
done

# The bundle is built here, and a worker must be reached: sid's melt runs outside of a chroot, with
# its own libraries.
cat > "$folder/melt" << END
#!/bin/sh
export MLT_REPOSITORY=$folder/modules MLT_DATA=$root/usr/share/mlt-7
export MLT_PROFILES_PATH=$root/usr/share/mlt-7/profiles
exec $root/lib64/ld-linux-x86-64.so.2 \\
  --library-path $libraries:$libraries/blas:$libraries/lapack:$libraries/pulseaudio \\
  $root/usr/bin/melt-7 "\$@"
END
chmod +x "$folder/melt"
"$folder/melt" -version | head -n 1
