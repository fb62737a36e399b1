# shellcheck shell=bash disable=SC2034,SC2086,SC2154 # ../build-llama.sh has shared variables and exit codes
# Part of ../build-llama.sh, which sources it: tries the new build with the demo models.

build_and_test() {
  if [[ -s $work/portable ]]; then build_portably "$(<"$work/portable")"; fi
  compile_and_try
  if [[ -z $smoke_result && $is_killed == yes ]]; then
    say test 'the unfinished build that was killed does not work: compiling all of it'
    forget_unfinished
    compile_and_try
  fi
  # Some machines cannot run native code from their own compiler (seen with AMX kernels): they get a portable build.
  if [[ -z $smoke_result && -n $smoke_signal && $portable == no ]]; then
    build_portably "the native build died of $smoke_signal on the demo models"
    say test "$portable_why; building again without this processor's own instructions"
    compile_and_try
  fi
  [[ -n $smoke_result ]] || fail_with_log "the new llama-server does not work${smoke_signal:+: it died of $smoke_signal}"
  say test "$smoke_result"
}

# build_portably REASON: from now on, also when this build is continued later
build_portably() {
  portable=yes portable_why=$1
  printf '%s\n' "$1" >"$work/portable"
  choose_flags
}

compile_and_try() {
  compile
  smoke_test || true # says so by an empty smoke_result
}

# Generates 8 tokens with the demo target, and with the demo draft when this version drafts. Sets version, smoke_result
# and, on failure, smoke_signal.
smoke_test() {
  local server=$work/build/bin/llama-server models=$script_dir/../models
  local quiet=(env -i "PATH=$PATH" ${LD_LIBRARY_PATH:+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} "HOME=$work" "XDG_CONFIG_HOME=$work" GGML_NO_BACKTRACE=1)
  smoke_result='' smoke_signal='' version=''
  local said=$work/version.txt
  smoke_run "$said" "${quiet[@]}" "$server" --version || return 1
  version=$(sed -n 's/^version: //p' "$said" | head -n 1)
  if [[ ! -f $models/demo-target.gguf ]]; then
    say test 'left out: the demo models are not beside this script'
    smoke_result='not run: no demo models'
    return
  fi
  local args=(-m "$models/demo-target.gguf" -md "$models/demo-draft.gguf" -ngl 0 -c 512 -np 1 --host 127.0.0.1 --port 0)
  smoke_run "$work/help.txt" "${quiet[@]}" "$server" --help || return 1
  if grep -q draft-simple "$work/help.txt"; then args+=(--spec-type draft-simple); fi
  ask_server "${quiet[@]}" "$server" "${args[@]}"
}

# smoke_run OUTPUT COMMAND...
smoke_run() {
  local output=$1 status=0
  shift
  "$@" >"$output" 2>&1 9>&- &
  finish $! || status=$?
  ((status == 0)) || explain_smoke "$status" "$output"
}

ask_server() {
  local output=$work/server.txt url='' status=0 tries
  : >"$output" # read below, perhaps before the server begins
  "$@" >"$output" 2>&1 9>&- &
  child=$!
  for ((tries = 0; tries < 600; tries++)); do
    url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$output" | head -n 1)
    if [[ -n $url ]] || ! kill -0 "$child" 2>/dev/null; then break; fi
    sleep 0.1
  done
  if [[ -n $url ]]; then smoke_result=$(complete_8_tokens "$url" 2>>"$output") || true; fi
  # Without an answer the server may be ending by itself: its own exit status counts, not the one after our signals.
  if [[ -n $smoke_result ]] || ! has_ended "$child" 3; then
    kill "$child" 2>/dev/null || true
    has_ended "$child" 10 || kill -9 "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    status=1
  else
    wait "$child" 2>/dev/null || status=$?
  fi
  child=''
  [[ -n $smoke_result ]] || explain_smoke "$status" "$output"
}

# has_ended PID SECONDS
has_ended() {
  local tries
  for ((tries = 0; tries < $2 * 10; tries++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}

# explain_smoke STATUS OUTPUT: always fails
explain_smoke() {
  { echo '+ test on the demo models' && cat "$2"; } >>"$log"
  if (($1 > 128)); then smoke_signal=SIG$(kill -l $(($1 - 128))); fi
  return 1
}

# Repeats the request while the model loads. Prints the answer for people.
complete_8_tokens() {
  # shellcheck disable=SC2016 # the dollars are JavaScript's
  node -e '
    const url = process.argv[1] + "/completion";
    const signal = AbortSignal.timeout(120_000);
    const body = JSON.stringify({ prompt: "Once upon a time", n_predict: 8, ignore_eos: true, temperature: 0 });
    const ask = async () => {
      for (;;) {
        const answer = await fetch(url, { method: "POST", body, signal });
        if (answer.status !== 503) return answer.json();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    ask().then((answer) => {
      const { tokens_predicted: tokens, timings } = answer;
      if (tokens !== 8) throw new Error("expected 8 tokens: " + JSON.stringify(answer).slice(0, 500));
      const drafted = timings.draft_n ? `${timings.draft_n_accepted} of ${timings.draft_n} drafted accepted` : "none drafted";
      console.log(`8 tokens, ${drafted}`);
    }).catch((error) => { console.error(String(error)); process.exitCode = 1; });
  ' "$1"
}
