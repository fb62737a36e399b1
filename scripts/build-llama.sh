#!/usr/bin/env bash
# Builds llama.cpp's llama-server and llama-cli, and llama-fit-params when the source has it, and installs them into one
# folder per build. See --help.
#
# Layout under the prefix: ID/{bin/,manifest.json}, one folder per build, complete or absent; `current`, a link to one of
# them, and `previous`, a link to the one before it; .work/ID (an unfinished build, which the next run continues),
# .log/ID.log, .lock/ID. The parts that do the work are in build-llama/. The last line on stdout is `manifest: PATH`. Problems go to stderr as
# `build-llama.sh: error: …`, each with its `  at:` and `  fix:`.
set -euo pipefail

readonly default_ref=v0.5.0
readonly default_repo=https://github.com/ggml-org/llama.cpp
script_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# Releases of llama.cpp that the npm package node-llama-cpp has as a git bundle: ref, version of the package, hash of its
# tarball.
readonly npm_releases='v0.5.0 3.22.1 sha512-bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==
b7698 3.15.0 sha512-xQKl+MvKiA5QNi/CTwqLKMos7hefhRVyzJuNIAEwl7zvOoF+gNMOXEsR4Ojwl7qvgpcjsVeGKWSK3Rb6zoUP1w=='

# Exit codes, as in the README's table.
readonly failed=1 usage=2 missing=66 unavailable=69

# The options of the command line.
ref='' repo='' source_dir='' bundle='' backend=auto cuda_arch='' portable=no rpc=no keep_current=no jobs='' prefix=''
# Facts about the source and the machine.
backend_why='' portable_why='' nvcc='' compiler='' cuda_version='' identity='' commit='' origin='' want='' key='' id=''
work='' log='' child='' is_resumed=no is_killed=no is_done=no version='' smoke_result='' smoke_signal=''
flags=()

print_help() {
  cat <<HELP
Usage: build-llama.sh [options]

Builds llama-server, llama-cli and (where there is one) llama-fit-params from the source of llama.cpp, tries the server on the demo
models and installs them.
With the same inputs again it does nothing. An unfinished build goes on where it was.

  --ref REF         release tag, branch or commit (default: $default_ref)
  --repo URL        git repository (default: $default_repo)
  --source DIR      build this checkout as it is, instead of fetching a ref
  --bundle FILE     build from this git bundle: its HEAD, or --ref where given
  --backend NAME    auto, cuda, cpu, vulkan or metal (default: auto: CUDA where nvcc and a driver or --cuda-arch are there,
                    Metal on a Mac, else cpu)
  --cuda-arch LIST  GPU architectures to build for, such as 86 or 86,89 (default: the GPUs of this machine)
  --portable        leave out instructions that only this machine's processor may have
  --rpc             with the backend for other machines' devices, and the worker that serves them (rpc-server)
  --jobs N          compile jobs at once (default: one a processor, fewer where memory is short)
  --prefix DIR      where builds are installed (default: $(default_prefix))
  --keep-current    leave the link \`current\` as it is
  --help            show this text

LLMCTL_BUILDS_FROM=DIR names another folder of builds: a build from the same inputs there is copied, not compiled again.
HELP
}

# The same folder as in src/base/files/paths.ts.
default_prefix() {
  if [[ -n ${LLMCTL_HOME:-} ]]; then
    echo "$LLMCTL_HOME/data/llama.cpp"
  elif [[ ${XDG_DATA_HOME:-} == /* ]]; then
    echo "$XDG_DATA_HOME/llmctl/llama.cpp"
  else
    echo "$HOME/.local/share/llmctl/llama.cpp"
  fi
}

say() { printf '%-9s %s\n' "$1" "$2"; }

problem() {
  printf 'build-llama.sh: error: %s\n' "$1" >&2
  if [[ -n ${2:-} ]]; then printf '  fix: %s\n' "$2" >&2; fi
}

# fail EXIT MESSAGE [FIX]
fail() {
  problem "$2" "${3:-}"
  exit "$1"
}

has() { command -v "$1" >/dev/null 2>&1; }

source "$script_dir/build-llama/machine.sh"
source "$script_dir/build-llama/source.sh"
source "$script_dir/build-llama/compile.sh"
source "$script_dir/build-llama/try.sh"

parse_options() {
  while (($# > 0)); do
    local name=$1 value=''
    shift
    case $name in
      --help | -h) print_help && exit 0 ;;
      --portable) portable=yes && continue ;;
      --rpc) rpc=yes && continue ;;
      --keep-current) keep_current=yes && continue ;;
      --*=*) value=${name#*=} name=${name%%=*} ;;
      --ref | --repo | --source | --bundle | --backend | --cuda-arch | --jobs | --prefix)
        (($# > 0)) || fail $usage "option $name needs a value"
        value=$1
        shift
        ;;
    esac
    set_option "$name" "$value"
  done
  check_options
}

set_option() {
  case $1 in
    --ref) ref=$2 ;;
    --repo) repo=$2 ;;
    --source) source_dir=$2 ;;
    --bundle) bundle=$2 ;;
    --backend) backend=$2 ;;
    --cuda-arch) cuda_arch=${2//,/;} ;;
    --jobs) jobs=$2 ;;
    --prefix) prefix=$2 ;;
    *) fail $usage "unknown option \"$1\"" 'see build-llama.sh --help' ;;
  esac
  [[ -n $2 ]] || fail $usage "option $1 needs a value"
}

check_options() {
  [[ $backend =~ ^(auto|cuda|cpu|vulkan|metal)$ ]] ||
    fail $usage "unknown backend \"$backend\"" 'write auto, cuda, cpu, vulkan or metal'
  [[ -z $jobs || $jobs =~ ^[1-9][0-9]{0,3}$ ]] || fail $usage "--jobs \"$jobs\" is not a number of jobs"
  [[ -z $cuda_arch || $cuda_arch =~ ^[a-z0-9-]+(;[a-z0-9-]+)*$ ]] ||
    fail $usage "--cuda-arch \"$cuda_arch\" is not a list of architectures" 'write 86 or 86,89'
  [[ -z $cuda_arch || $backend =~ ^(auto|cuda)$ ]] || fail $usage "--cuda-arch has no meaning with --backend $backend"
  [[ ! $ref =~ ^-|[[:space:]] ]] || fail $usage "--ref \"$ref\" is not a git ref"
  [[ ! $repo =~ ^-|[[:space:]] ]] || fail $usage "--repo \"$repo\" is not a repository"
  [[ -z $source_dir || -z $bundle$repo$ref ]] || fail $usage '--source builds a folder as it is; leave out --ref, --repo and --bundle'
  [[ -z $bundle || -z $repo ]] || fail $usage 'give either --bundle or --repo'
  [[ -z $source_dir || -f $source_dir/CMakeLists.txt ]] ||
    fail $missing "\"$source_dir\" is not a checkout of llama.cpp: it has no CMakeLists.txt"
  [[ -z $bundle || -f $bundle ]] || fail $missing "there is no bundle \"$bundle\""
}

make_paths_absolute() {
  prefix=${prefix:-$(default_prefix)}
  mkdir -p "$prefix" || fail 77 "cannot create \"$prefix\"" 'choose another folder with --prefix'
  prefix=$(cd "$prefix" && pwd -P)
  if [[ -n $source_dir ]]; then source_dir=$(cd "$source_dir" && pwd -P); fi
  if [[ -n $bundle ]]; then bundle=$(cd "$(dirname "$bundle")" && pwd -P)/$(basename "$bundle"); fi
}

# ---- one build at a time ----

# A kernel lock, which ends with the process in every case. Compilers inherit it, so the folder stays locked while one of
# them still writes.
take_lock() {
  mkdir -p "$prefix/.lock" "$prefix/.log" "$prefix/.work" || fail 77 "cannot write to \"$prefix\"" 'choose another folder with --prefix'
  exec 9>>"$prefix/.lock/$id"
  if has flock; then
    flock -n 9 || { say waiting "another build of $id is running" && flock 9; }
  else
    perl -e 'open my $lock, ">&=", 9 or die; flock $lock, 2 or die' # macOS has no flock command
  fi
}

is_installed() { [[ -s $1/manifest.json && -x $1/bin/llama-server ]]; }

start_work() {
  work=$prefix/.work/$id log=$prefix/.log/$id.log
  find "$prefix/.work" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + # nobody has continued these
  if [[ -d $work/build ]]; then is_resumed=yes; fi
  if [[ -e $work/running ]]; then is_killed=yes; fi # with its script, so nobody has tidied up
  mkdir -p "$work"
  : >"$log"
  : >"$work/running"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# Keeps what an unfinished build has compiled.
clean_up() {
  trap '' INT TERM HUP
  if [[ -n $child ]]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  if [[ $is_done == yes || ! -d $work/build ]]; then
    rm -rf "$work"
  else
    rm -rf "$work/running" "$work/install" "$work/package" "$work"/*.tgz
    say kept "$work: the next run goes on from there"
  fi
}

# Waits for the command that was just started in the background, so that a signal to this script ends that command at once.
finish() {
  child=$1
  local status=0
  wait "$child" || status=$?
  child=''
  return $status
}

logged() {
  printf '+ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 &
  finish $!
}

# ---- key, folder and link ----

name_build() {
  local native='' programs='llama-server llama-cli llama-fit-params' # one that was made without the last is another build
  if [[ $portable == no ]]; then native=$(machine_features); fi
  key=$(printf '%s\n' "$identity" "${flags[@]}" "$compiler" "$cuda_version" "${CFLAGS:-} ${CXXFLAGS:-} ${LDFLAGS:-} ${CUDAFLAGS:-}" \
    "$native" "$programs" |
    git hash-object --stdin | cut -c1-8)
  id=$(printf '%s' "$ref" | tr -c 'A-Za-z0-9._-' '-')-$backend
  if [[ $portable == yes ]]; then id+=-portable; fi
  if [[ $rpc == yes ]]; then id+=-rpc; fi
  id+=-$key
}

# The inputs of -march=native and CUDA's `native`: a native build is for machines with the same values only.
machine_features() {
  uname -m
  grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || sysctl -n machdep.cpu.brand_string 2>/dev/null || true
  if [[ $backend == cuda && -z $cuda_arch ]]; then gpu_capabilities; fi
}

install() {
  local stage=$work/install library program
  mkdir -p "$stage/bin"
  for program in $(programs); do cp "$work/build/bin/$program" "$stage/bin/"; done
  for library in "$work"/build/bin/*.so* "$work"/build/bin/*.dylib; do
    if [[ -e $library ]]; then cp -P "$library" "$stage/bin/"; fi
  done
  write_manifest "$stage/manifest.json"
  rm -rf "${prefix:?}/$id" # never complete: is_installed said so under the lock
  mv "$stage" "$prefix/$id"
  is_done=yes
}

# Installs the build from the same inputs that another folder has.
copy_build() {
  local from=${LLMCTL_BUILDS_FROM:-} stage=$prefix/.work/$id.copy
  [[ -n $from ]] && is_installed "$from/$id" || return 1
  rm -rf "$stage"
  cp -RP "$from/$id" "$stage"
  mv "$stage" "$prefix/$id"
  say installed "$prefix/$id, copied from $from"
}

write_manifest() {
  # shellcheck disable=SC2016 # the dollars are JavaScript's
  node -e '
    const [path, key, id, ref, commit, origin, version, backend, portable, why, compiler, cuda, smoke, ...flags] = process.argv.slice(1);
    const manifest = {
      schema: 1, id, key, ref, commit, origin, version, backend, portable: portable === "yes", portableReason: why || null,
      flags, compiler, cuda: cuda || null, test: smoke, date: new Date().toISOString(),
    };
    fs.writeFileSync(path, JSON.stringify(manifest, null, 2) + "\n");
  ' "$1" "$key" "$id" "$ref" "$commit" "$origin" "$version" "$backend" "$portable" "$portable_why" "$compiler" "$cuda_version" \
    "$smoke_result" "${flags[@]}"
}

make_current() {
  local before
  before=$(readlink "$prefix/current" 2>/dev/null || true)
  [[ $before != "$id" ]] || return 0
  if [[ -n $before ]]; then set_link previous "$before"; fi
  set_link current "$id"
  say current "$id"
}

# set_link NAME ID: a reader sees the old link or the new one.
set_link() {
  local beside=$prefix/.$1.$$
  ln -s "$2" "$beside"
  if [[ $(uname -s) == Darwin ]]; then mv -fh "$beside" "$prefix/$1"; else mv -fT "$beside" "$prefix/$1"; fi
}

main() {
  parse_options "$@"
  choose_backend
  check_tools
  make_paths_absolute
  read_compiler_versions
  identify_source
  choose_flags
  name_build
  say llama.cpp "$id${backend_why:+ ($backend: $backend_why)}"
  take_lock
  if is_installed "$prefix/$id"; then
    say installed 'already, from the same inputs: nothing to do'
  elif ! copy_build; then
    start_work
    check_cuda
    choose_jobs
    fetch_source
    build_and_test
    install
    say installed "$prefix/$id in $((SECONDS / 60)) min $((SECONDS % 60)) s"
  fi
  if [[ $keep_current == no ]]; then make_current; fi
  echo "manifest: $prefix/$id/manifest.json"
}

main "$@"
