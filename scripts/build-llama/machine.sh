# shellcheck shell=bash disable=SC2034,SC2086,SC2154 # ../build-llama.sh has shared variables and exit codes
# Part of ../build-llama.sh, which sources it: the tools and GPUs of this machine, and what is missing.

choose_backend() {
  nvcc=$(find_nvcc)
  [[ $backend == auto ]] || return 0
  if [[ $(uname -s) == Darwin ]]; then
    backend=metal backend_why='this is a Mac'
  elif [[ -z $nvcc ]]; then
    backend=cpu backend_why='nvcc is not found'
  elif [[ -n $cuda_arch ]]; then
    backend=cuda backend_why='nvcc is found, and --cuda-arch is given'
  elif [[ -n $(gpu_capabilities) ]]; then
    backend=cuda backend_why='nvcc and an NVIDIA driver are found'
  else
    backend=cpu backend_why='nvcc is found, but no NVIDIA driver; --cuda-arch would build for CUDA'
  fi
}

find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-nvcc}" nvcc "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do
    if has "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
}

# Compute capabilities of the GPUs, one per line; nothing without a driver.
gpu_capabilities() {
  if has nvidia-smi; then nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u || true; fi
}

cxx_command() { echo "${CXX:-c++}"; }

check_tools() {
  local absent=() packages=()
  need git git
  need node nodejs
  need cmake cmake
  need "$(cxx_command)" g++
  has ninja || need make make
  if [[ $backend == cuda && -z $nvcc ]]; then need nvcc nvidia-cuda-toolkit; fi
  if [[ $backend == vulkan ]]; then need_vulkan; fi
  if ((${#absent[@]} > 0)); then
    local name list=''
    for name in "${absent[@]}"; do list+="${list:+, }$name"; done
    fail $missing "not found: $list" "on Debian: apt-get install ${packages[*]}"
  fi
  if [[ $backend == metal && $(uname -s) != Darwin ]]; then fail $usage 'the metal backend needs a Mac'; fi
}

# need COMMAND PACKAGE: notes a missing command for check_tools
need() {
  if ! has "${1%% *}"; then absent+=("$1") packages+=("$2"); fi
}

need_vulkan() {
  need glslc glslc
  local header
  for header in vulkan/vulkan.h:libvulkan-dev spirv/unified1/spirv.hpp:spirv-headers; do
    # shellcheck disable=SC2046 # CXX may hold a command with arguments
    if ! printf '#include <%s>\n' "${header%%:*}" | $(cxx_command) -E -x c++ - >/dev/null 2>&1; then
      absent+=("${header%%:*}") packages+=("${header##*:}")
    fi
  done
}

# The compiler's version, one line of plain text: it is part of a build's key and of the manifest.
read_compiler_versions() {
  # shellcheck disable=SC2046 # CXX may hold a command with arguments
  compiler=$($(cxx_command) --version | sed -n 1p)
  if [[ $backend == cuda ]]; then cuda_version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p'); fi
}

# Detects nvcc without cuBLAS, or with a host compiler that it refuses, instead of failing minutes later.
check_cuda() {
  [[ $backend == cuda ]] || return 0
  if [[ $portable == no && -z $cuda_arch && -z $(gpu_capabilities) ]]; then
    fail $usage 'no NVIDIA GPU is visible here, so its architecture is not known' 'give --cuda-arch (such as 86), or --portable'
  fi
  local probe=$work/probe.cu
  printf '#include <cublas_v2.h>\nint main() { cublasHandle_t h; return cublasCreate(&h); }\n' >"$probe"
  logged "$nvcc" ${CUDAHOSTCXX:+-ccbin "$CUDAHOSTCXX"} "$probe" -o "$work/probe" -lcublas || fail_with_log 'nvcc cannot build a program that uses cuBLAS'
}

choose_jobs() {
  local processors gib per_job_tenths=15 fitting
  processors=$(getconf _NPROCESSORS_ONLN)
  if [[ $backend == cuda ]]; then per_job_tenths=30; fi
  gib=$(free_memory_gib)
  fitting=$((gib * 10 / per_job_tenths))
  if ((fitting < 1)); then fitting=1; fi
  if [[ -z $jobs ]]; then jobs=$((processors < fitting ? processors : fitting)); fi
  if ((jobs > fitting)); then say memory "$gib GiB free may be too little for $jobs jobs at once; --jobs $fitting is safer"; fi
}

free_memory_gib() {
  local kib
  if [[ -r /proc/meminfo ]]; then
    kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
  else
    kib=$(($(sysctl -n hw.memsize) / 1024))
  fi
  local limit
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || true) # a container's limit; "max" where there is none
  if [[ $limit =~ ^[0-9]+$ ]] && ((limit / 1024 < kib)); then kib=$((limit / 1024)); fi
  echo $((kib / 1024 / 1024))
}
