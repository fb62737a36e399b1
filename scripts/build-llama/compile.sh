# shellcheck shell=bash disable=SC2034,SC2086,SC2154 # ../build-llama.sh has shared variables and exit codes
# Part of ../build-llama.sh, which sources it: the flags, the compilation, and advice when it fails.

choose_flags() {
  flags=(-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF)
  flags+=(-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF)
  # Each of these options exists only in some versions. No build may download anything or need libcurl.
  flags+=(-DLLAMA_CURL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF)
  if [[ $portable == yes ]]; then flags+=(-DGGML_NATIVE=OFF); fi
  if [[ $rpc == yes ]]; then flags+=(-DGGML_RPC=ON); fi
  # A source tree without history does not know its own version.
  if [[ $ref =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then flags+=(-DLLAMA_BUILD_IS_DEV=OFF); fi
  if [[ $ref =~ ^b([0-9]+)$ ]]; then flags+=("-DLLAMA_BUILD_NUMBER=${BASH_REMATCH[1]}"); fi
  case $backend in
    cuda) flags+=(-DGGML_CUDA=ON "-DCMAKE_CUDA_COMPILER=$nvcc") ;;
    vulkan) flags+=(-DGGML_VULKAN=ON) ;;
    metal) flags+=(-DGGML_METAL=ON -DGGML_METAL_EMBED_LIBRARY=ON) ;;
    cpu) if [[ $(uname -s) == Darwin ]]; then flags+=(-DGGML_METAL=OFF); fi ;;
  esac
  if [[ -n $cuda_arch ]]; then flags+=("-DCMAKE_CUDA_ARCHITECTURES=$cuda_arch"); fi
}

compile() {
  [[ $rpc == no || -f $source_dir/tools/rpc/CMakeLists.txt ]] || fail $missing "this source has no tools/rpc" 'leave out --rpc, or build a newer ref'
  keep_known_flags
  configure
  say compile "$jobs at once${launchers[0]+, with ccache}; log: $log"
  run_compiler && return
  # A power cut may have left files that are empty but look finished.
  [[ $is_killed == yes ]] || fail_with_log 'compiling llama.cpp failed'
  say compile 'the unfinished build that was killed cannot be continued: compiling all of it'
  forget_unfinished
  configure
  run_compiler || fail_with_log 'compiling llama.cpp failed'
}

# Sets tool and launchers, and continues in the folder of an unfinished build if that had the same settings.
configure() {
  local build=$work/build generator=(-G 'Unix Makefiles') flag settings
  tool=(make -C "$build" -j "$jobs") launchers=()
  if has ninja; then generator=(-G Ninja) tool=(ninja -C "$build" -j "$jobs"); fi
  if has ccache; then
    export CCACHE_BASEDIR=$work
    for flag in C CXX CUDA; do launchers+=("-DCMAKE_${flag}_COMPILER_LAUNCHER=ccache"); done
  fi
  settings="${generator[*]} ${flags[*]} ${launchers[*]-}"
  # make takes an object for finished that a killed compiler has left; ninja keeps a list.
  if [[ $is_killed == yes && ${tool[0]} == make || $(cat "$work/settings" 2>/dev/null) != "$settings" ]]; then
    rm -rf "$build"
    is_resumed=no
  fi
  printf '%s\n' "$settings" >"$work/settings"
  say configure "${flags[*]#-D}"
  logged cmake -S "$source_dir" -B "$build" "${generator[@]}" "${flags[@]}" ${launchers[@]+"${launchers[@]}"} ||
    fail_with_log 'cmake could not configure llama.cpp'
  if [[ $is_resumed == yes ]]; then say continue "the unfinished build in $build"; fi
}

forget_unfinished() {
  is_killed=no is_resumed=no
  rm -rf "$work/build" "$work/fetched"
  if [[ $source_dir == "$work/src" ]]; then
    source_dir=''
    fetch_source
  fi
}

run_compiler() {
  local status=0 shower
  printf '+ %s\n' "${tool[*]}" >>"$log"
  rm -f "$work/steps" && mkfifo "$work/steps"
  show_steps <"$work/steps" &
  shower=$!
  # shellcheck disable=SC2046 # names without spaces
  "${tool[@]}" $(programs) >"$work/steps" 2>&1 &
  finish $! || status=$?
  wait "$shower"
  return $status
}

# The programs. The last one tells how much memory a model needs. It exists since December 2025 and costs only one link
# step.
programs() {
  echo llama-server llama-cli
  if [[ -d $source_dir/tools/fit-params ]]; then echo llama-fit-params; fi
  if [[ $rpc == yes ]]; then rpc_program; fi
}

# The name of the RPC worker, which changed in March 2026.
rpc_program() { sed -nE 's/^set\(TARGET ([a-z-]*rpc-server)\)$/\1/p' "$source_dir/tools/rpc/CMakeLists.txt"; }

# Options that this version does not have would cause warnings.
keep_known_flags() {
  local flag name known=()
  for flag in "${flags[@]}"; do
    name=${flag#-D} name=${name%%=*}
    case $name in
      LLAMA_CURL | LLAMA_BUILD_UI | LLAMA_USE_PREBUILT_UI | LLAMA_BUILD_IS_DEV)
        grep -rqE --include=CMakeLists.txt "option\(${name}[ )]" "$source_dir" || continue
        ;;
    esac
    known+=("$flag")
  done
  flags=("${known[@]}")
}

# All output goes to the log. The progress lines of ninja (`[12/214] …`) and make (`[ 12%] …`) are shown, on a terminal in
# one line.
show_steps() {
  local line end=$'\n' shown=no
  if [[ -t 1 ]]; then end=$'\e[K\r'; fi
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    if [[ $line =~ ^\[\ *[0-9]+(/[0-9]+|%)\] ]]; then
      if [[ -t 1 ]]; then line=${line:0:$((${COLUMNS:-80} - 1))}; fi
      printf '%s%s' "$line" "$end"
      shown=yes
    fi
  done
  if [[ -t 1 && $shown == yes ]]; then echo; fi
}

# fail_with_log MESSAGE [EXIT]
fail_with_log() {
  printf 'the last lines of %s:\n' "$log" >&2
  tail -n 30 "$log" >&2
  problem "$1"
  printf '  at:  %s\n  fix: %s\n' "$log" "$(advise)" >&2
  exit "${2:-$failed}"
}

# Advice for common failures, by the messages of cmake, nvcc and ld.
advise() {
  local step
  step=$(grep -n '^+ ' "$log" | tail -n 1 | cut -d: -f1) # only the command that failed: a repository out of reach is in the log, too
  saw() { tail -n "+${step:-1}" "$log" | grep -E -e "$1" >/dev/null; }
  if saw 'unsupported GNU version'; then
    echo 'this nvcc needs an older host compiler: set CUDAHOSTCXX=g++-N to the newest that the error allows'
  elif saw 'CUDA Toolkit not found|No CMAKE_CUDA_COMPILER could be found|CMAKE_CUDA_COMPILER-NOTFOUND'; then
    echo 'install the CUDA toolkit (Debian: nvidia-cuda-toolkit), or set CUDACXX to the path of nvcc'
  elif saw "Cannot find valid GPU for '-arch=native'|Value 'native' is not defined"; then
    echo 'no GPU is visible: give its architecture, such as --cuda-arch 86'
  elif saw 'exception specification is incompatible.*(cospi|sinpi)'; then
    echo 'this CUDA is too old for the C library: install a newer CUDA toolkit'
  elif saw 'cublas_v2.h|cannot find -lcublas|libcublas\.so'; then
    echo 'install cuBLAS (Debian: nvidia-cuda-dev; NVIDIA: libcublas-dev)'
  elif saw 'Could NOT find CURL'; then
    echo 'install libcurl4-openssl-dev'
  elif saw 'Could NOT find Vulkan|SPIRV-Headers'; then
    echo 'install libvulkan-dev glslc spirv-headers'
  elif saw 'Killed signal terminated program|internal compiler error: Killed|cudafe.*died due to signal 9'; then
    echo "memory ran out: try --jobs $((jobs > 1 ? jobs / 2 : 1))"
  elif saw 'No space left on device'; then
    echo 'free some disk space, or choose another --prefix'
  elif saw 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|Could not resolve host'; then
    echo 'connect to the network, or give --source DIR or --bundle FILE'
  else
    echo 'read the log; --portable and another --backend are worth a try'
  fi
}
