# Set-up that tools/try and tools/test share: packages, then a configured build. Sourced, from the repository's root.

BUILD_PACKAGES="gcc libc6-dev make cmake libvulkan-dev libvulkan-volk-dev glslang-tools spirv-tools
    libpcre2-dev libutf8proc-dev libcjson-dev libyajl-dev zlib1g-dev libcurl4-openssl-dev libmd-dev libedit-dev
    libmicrohttpd-dev
    libcmocka-dev"
MPI_PACKAGES="libopenmpi-dev openmpi-bin"
COMPILER_PACKAGES="clang clang-format-14" # beside gcc
TEST_PACKAGES="mesa-vulkan-drivers chromium-common chromium vulkan-validationlayers libdrm-dev python3 python3-numpy python3-venv
    g++ pkgconf abigail-tools wrk $MPI_PACKAGES"

say() { printf '%s\n' "$*" >&2; }

# What Debian's packages are called by Fedora, Arch and openSUSE; "-": it is part of another one, or not there.
PACKAGE_NAMES="
gcc                       gcc                      gcc                       gcc
libc6-dev                 glibc-devel              glibc                     glibc-devel
make                      make                     make                      make
cmake                     cmake                    cmake                     cmake
libvulkan-dev             vulkan-headers           vulkan-headers            vulkan-devel
libvulkan1                vulkan-loader            vulkan-icd-loader         libvulkan1
libvulkan-volk-dev        vulkan-volk-devel        volk                      -
glslang-tools             glslang                  glslang                   glslang-devel
spirv-tools               spirv-tools              spirv-tools               spirv-tools
libpcre2-dev              pcre2-devel              pcre2                     pcre2-devel
libutf8proc-dev           utf8proc-devel           libutf8proc               utf8proc-devel
libcjson-dev              cjson-devel              cjson                     cJSON-devel
libyajl-dev               yajl-devel               yajl                      libyajl-devel
zlib1g-dev                zlib-devel               zlib                      zlib-devel
libcurl4-openssl-dev      libcurl-devel            curl                      libcurl-devel
libmd-dev                 libmd-devel              libmd                     libmd-devel
libedit-dev               libedit-devel            libedit                   libedit-devel
libmicrohttpd-dev         libmicrohttpd-devel      libmicrohttpd             libmicrohttpd-devel
libcmocka-dev             libcmocka-devel          cmocka                    libcmocka-devel
libopenmpi-dev            openmpi-devel            openmpi                   openmpi4-devel
openmpi-bin               openmpi                  openmpi                   openmpi4
mesa-vulkan-drivers       mesa-vulkan-drivers      vulkan-swrast             libvulkan_lvp
vulkan-validationlayers   vulkan-validation-layers vulkan-validation-layers  vulkan-validationlayers
libdrm-dev                libdrm-devel             libdrm                    libdrm-devel
python3                   python3                  python                    python3
python3-numpy             python3-numpy            python-numpy              python3-numpy
python3-venv              -                        -                         -
pkgconf                   pkgconf-pkg-config       pkgconf                   pkgconf-pkg-config
g++                       gcc-c++                  gcc                       gcc-c++
clang                     clang                    clang                     clang
libclang-rt-dev           compiler-rt              compiler-rt               -
chromium-common           -                        -                         -
chromium                  chromium                 chromium                  chromium
clang-format-14           -                        -                         -
abigail-tools             libabigail               libabigail                libabigail-tools
wrk                       -                        wrk                       -
"

# Prints the names of these packages for a manager.
package_names() {
    local manager=$1 column package
    shift
    case $manager in apt-get) column=1 ;; dnf) column=2 ;; pacman) column=3 ;; zypper) column=4 ;; esac
    for package in "$@"; do
        printf '%s\n' "$PACKAGE_NAMES" | awk -v name="$package" -v column="$column" '
            $1 == name { known = 1; if ($column != "-") print $column }
            END { if (!known) print name }'
    done | awk '!seen[$0]++'
}

package_manager() {
    local manager
    for manager in apt-get dnf pacman zypper; do
        if command -v "$manager" >/dev/null; then printf '%s\n' "$manager"; return; fi
    done
}

package_installed() {
    case $1 in
        apt-get) dpkg-query -W -f '${Status}' "$2" 2>/dev/null | grep -q '^install ok installed' ;;
        pacman) pacman -T "$2" >/dev/null ;;
        *) rpm -q --whatprovides "$2" >/dev/null 2>&1 ;;
    esac
}

package_install() {
    local manager=$1
    shift
    case $manager in
        apt-get) apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ;;
        dnf) dnf install -y "$@" ;;
        pacman) pacman -S --noconfirm --needed "$@" ;;
        zypper) zypper --non-interactive install "$@" ;;
    esac
}

# Installs those packages, by Debian's names, that are missing: as root, else it says what to run.
setup_packages() {
    local manager package missing="" verb=install
    manager=$(package_manager)
    [ -n "$manager" ] || return 0 # cmake says what is missing
    for package in $(package_names "$manager" "$@"); do
        package_installed "$manager" "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        [ "$manager" != pacman ] || verb="-S --needed"
        say "Packages are missing; please run: sudo $manager $verb$missing"
        exit 1
    fi
    say "Installing:$missing"
    local log
    log=$(mktemp)
    if ! package_install "$manager" $missing >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "$manager could not install:$missing"
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

# Whether any Vulkan driver is announced where the loader looks for them.
has_driver() {
    local file
    [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || return 0
    for file in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json \
                /usr/local/etc/vulkan/icd.d/*.json "${XDG_DATA_HOME:-$HOME/.local/share}"/vulkan/icd.d/*.json; do
        [ -e "$file" ] && return 0
    done
    return 1
}

# CMake refuses a build folder that was copied or moved along with its sources: what it knows is thrown away then.
setup_forget_copy() {
    local cache=$1/CMakeCache.txt home
    [ -e "$cache" ] || return 0
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$cache")
    [ "$home" != "$PWD" ] || return 0
    say "$1 was made for $home: it is made again for $PWD."
    rm -rf "$cache" "$1/CMakeFiles"
}

# setup_build DIR TARGET [cmake flags]: configures, and builds what changed. Quiet unless it fails.
setup_build() {
    local dir=$1 target=$2 log
    shift 2
    setup_forget_copy "$dir"
    [ -e "$dir/CMakeCache.txt" ] || say "Building in $dir ..."
    mkdir -p "$dir"
    log=$dir/setup.log
    # configuring again takes a fraction of a second, and sees drivers that were installed since
    if ! { cmake -S . -B "$dir" "$@" && cmake --build "$dir" --target "$target" --parallel "$(nproc)"; } >"$log" 2>&1; then
        cat "$log" >&2
        say "The build in $dir failed."
        exit 1
    fi
}
