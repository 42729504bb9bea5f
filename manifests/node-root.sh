#!/bin/sh
# usage: node-root.sh FOLDER
# Makes FOLDER the root of an image that can run Node and nothing else: node, the libraries that it loads (each where
# the loader of this processor looks for it), the user 65532, and a /tmp. Node brings its own certificates of public
# authorities; the system's are copied too where there are any, for NODE_EXTRA_CA_CERTS and --use-system-ca.
set -eu
root=$1
node=$(readlink -f "$(command -v node)")
mkdir -p "$root/usr/local/bin" "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
cp "$node" "$root/usr/local/bin/node"
ldd "$node" | grep -o '/[^ ]*' | while read -r library; do cp --parents --dereference "$library" "$root"; done
printf 'root:x:0:0::/:/sbin/nologin\nslimfaas:x:65532:65532::/tmp:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nslimfaas:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
certificates=/etc/ssl/certs/ca-certificates.crt
if [ -e $certificates ]; then cp --parents --dereference $certificates "$root"; fi
