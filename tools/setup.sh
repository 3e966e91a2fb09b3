# Set-up that tools/try and tools/test share: packages, then a configured build. Sourced, from the repository's root.

BUILD_PACKAGES="gcc libc6-dev make cmake libvulkan-dev libvulkan-volk-dev glslang-tools spirv-tools
    libpcre2-dev libutf8proc-dev libcjson-dev zlib1g-dev libcmocka-dev"
COMPILER_PACKAGES="clang clang-format-14" # beside gcc
TEST_PACKAGES="mesa-vulkan-drivers chromium-common vulkan-validationlayers libdrm-dev python3"

say() { printf '%s\n' "$*" >&2; }

# Installs those packages that are missing: as root with apt-get, else it says what to run.
setup_packages() {
    command -v dpkg-query >/dev/null || return 0 # no Debian: cmake says what is missing
    local package missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "Packages are missing; please run: sudo apt-get install$missing"
        exit 1
    fi
    say "Installing:$missing"
    local log
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "apt-get could not install:$missing"
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

# setup_build DIR TARGET [cmake flags]: configures, and builds what changed. Quiet unless it fails.
setup_build() {
    local dir=$1 target=$2 log
    shift 2
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
