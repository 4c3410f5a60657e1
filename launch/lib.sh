# shellcheck shell=bash
# Shared code of the scripts in launch/, which source it. It has the only list of required packages.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# Containers and CI machines run as root, which Open MPI refuses unless both variables are set.
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

say() { printf '%s\n' "==> $*" >&2; }

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Lists the required packages, by names that are the same in all releases of Debian and Ubuntu.
packages() {
  # For Swift: libraries for the toolchain (curl, ncurses, sqlite, XML), and tools to fetch packages and to link.
  printf '%s\n' binutils ca-certificates g++ git libcurl4-openssl-dev libncurses-dev libsqlite3-dev libxml2-dev pkg-config
  # For Lockstep: MPI and HDF5 (see LOCKSTEP_MPI and LOCKSTEP_HDF5 in Package.swift). Any other name means a library
  # of the user's own, which must not be mixed with Debian's.
  case "${LOCKSTEP_MPI:-ompi-c}" in
    ompi | ompi-c) printf '%s\n' libopenmpi-dev openmpi-bin ;;
    mpich) printf '%s\n' libmpich-dev mpich ;;
  esac
  case "${LOCKSTEP_HDF5:-hdf5-serial}" in
    hdf5-serial) printf '%s\n' libhdf5-dev hdf5-tools ;;
    hdf5-openmpi) printf '%s\n' libhdf5-openmpi-dev hdf5-tools ;;
    hdf5-mpich) printf '%s\n' libhdf5-mpich-dev hdf5-tools ;;
  esac
}

missing_packages() {
  local package
  while read -r package; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      printf '%s\n' "$package"
    fi
  done < <(packages)
}

install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is neither Debian nor Ubuntu, so nothing is installed. What is needed here goes by these names there:" \
      "$(packages | tr '\n' ' ')"
    return
  fi
  local missing=() as_root=()
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail "These packages are missing: ${missing[*]}. Install them as root (apt-get install ${missing[*]}), then start this again."
    as_root=(sudo)
  fi
  say "Installing with apt-get: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2
}

# Debian has no Swift package, and a user's toolchain must not be replaced: find Swift, or explain how to install it.
find_swift() {
  local directory
  for directory in "${SWIFTLY_BIN_DIR:-${HOME:-/root}/.local/share/swiftly/bin}" /opt/swift/usr/bin /usr/local/swift/usr/bin; do
    if command -v swift >/dev/null; then return; fi
    if [ -x "$directory/swift" ]; then PATH="$directory:$PATH"; fi
  done
  command -v swift >/dev/null || fail "There is no Swift on this machine. Lockstep needs version 6.2 or newer. To get it:
    curl -O https://download.swift.org/swiftly/linux/swiftly-$(uname -m).tar.gz
    tar zxf swiftly-$(uname -m).tar.gz && ./swiftly init
or choose a toolchain on https://www.swift.org/install/linux/ and put its usr/bin on PATH. Then start this again."
}

check_swift_version() {
  local text version major minor
  text=$(swift --version 2>&1) || fail "$(command -v swift) does not start: $text"
  version=$(sed -n 's/.*Swift version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' <<<"$text" | head -n 1)
  [ -n "$version" ] || fail "$(command -v swift) does not tell its version, only: $text"
  major=${version%%.*} minor=${version#*.}
  if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
    fail "$(command -v swift) is version $version; Lockstep needs 6.2 or newer (swiftly install latest, or https://www.swift.org/install/linux/)."
  fi
}

# Ensures that everything needed for a build is installed.
prepare_machine() {
  find_swift
  install_packages
  check_swift_version
}

# Builds with a sanitizer in a separate directory and runs the tests that are useful with it.
sanitized_tests() { # address|undefined|thread, arguments of swift test
  local sanitizer=$1 build=() tests=() known=$PWD/Tests/Sanitizers
  shift
  case $sanitizer in
    address)
      build=(--sanitize=address)
      # No leak detection: most memory that remains at exit belongs to MPI's plug-ins, which are unloaded by then and
      # can't be
      # told from others; tests that limit the memory of a run find growth. An impossibly large allocation returns null,
      # as
      # without the sanitizer.
      export ASAN_OPTIONS=detect_stack_use_after_return=0:detect_leaks=0:allocator_may_return_null=1
      # The sanitizer uses memory itself, and needs /proc.
      tests=(--skip 'PyTorchTests|MemoryTests|aContainerWithoutProcWillDo')
      ;;
    undefined)
      # For the C kernels, since Swift checks its own arithmetic. The compiler does not support --sanitize=undefined on
      # Linux,
      # so the runtime is linked explicitly.
      local runtime
      runtime=$(clang_runtime ubsan_standalone)
      build=(-Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined
        -Xlinker --whole-archive -Xlinker "$runtime" -Xlinker --no-whole-archive)
      export UBSAN_OPTIONS=print_stacktrace=1
      tests=(--filter 'KernelsTests|LayersTests|ModelsTests|ShardingTests|ExchangeTests|OptimizersTests|TrainingTests|WorkersTests|HDF5Tests|CorpusTests')
      ;;
    thread)
      build=(--sanitize=thread)
      export TSAN_OPTIONS=suppressions=$known/races.txt:halt_on_error=0:exitcode=66:allocator_may_return_null=1
      # Only tests of threads: ranks are processes, and MPI's internal threads are not Lockstep's.
      tests=(--filter 'WorkersTests|ExchangeTests|ThreadProcessTests|threadsMakeProductsTogether|aSignalStopsThreads|TrainerInvarianceTests')
      ;;
    *) fail "unknown sanitizer '$sanitizer'; there are address, undefined and thread" ;;
  esac
  # Swift's crash report would hide the sanitizer's.
  export LOCKSTEP_SANITIZE=$sanitizer SWIFT_BACKTRACE=enable=no
  if [ $# -gt 0 ]; then tests=("$@"); fi
  build+=(-c release --scratch-path ".build-$sanitizer")
  swift build "${build[@]}"
  swift build "${build[@]}" --build-tests
  swift test "${build[@]}" --skip-build "${tests[@]}" </dev/null
}

# Prints the path of one of Clang's static runtime libraries, which come with the Swift compiler.
clang_runtime() { # NAME
  local path
  for path in "$(dirname "$(realpath "$(command -v swift)")")"/../lib/clang/*/lib/linux/"libclang_rt.$1-$(uname -m).a"; do
    if [ -e "$path" ]; then
      realpath "$path"
      return
    fi
  done
  fail "this Swift comes without Clang's runtime '$1'"
}
