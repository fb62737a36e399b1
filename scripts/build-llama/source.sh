# shellcheck shell=bash disable=SC2034,SC2086,SC2154 # ../build-llama.sh has shared variables and exit codes
# Part of ../build-llama.sh, which sources it: finds the wanted source and fetches it.

# Sets ref (the build's name for people) and identity (the input of the key). Needs no network for a release or a commit.
identify_source() {
  if [[ -n $source_dir ]]; then
    identify_folder
  elif [[ -n $bundle ]]; then
    identify_bundle
  else
    repo=${repo:-$default_repo} ref=${ref:-$default_ref}
    identity="$repo $ref" want=$ref origin="git $repo"
    if ! is_fixed "$ref"; then identify_branch; fi
  fi
}

# Releases and full commits never change; any other ref may move.
is_fixed() { [[ $1 =~ ^([bv][0-9][0-9.]*|[0-9a-f]{40})$ ]]; }

# The identity of a folder is its commit; with changes, or without git, it is the hash of all its files.
identify_folder() {
  local top
  origin="folder $source_dir"
  top=$(git -C "$source_dir" rev-parse --show-toplevel 2>/dev/null || true)
  if [[ $top == "$source_dir" ]]; then
    commit=$(git -C "$source_dir" rev-parse HEAD)
    ref=$(git -C "$source_dir" describe --tags --exact-match HEAD 2>/dev/null || echo "${commit:0:12}")
    identity="commit $commit"
    [[ -n $(GIT_OPTIONAL_LOCKS=0 git -C "$source_dir" status --porcelain) ]] || return 0
    commit=$commit-dirty ref=$ref-dirty
  fi
  local tree
  tree=$(hash_files "$source_dir")
  identity="tree $tree"
  commit=${commit:-tree-$tree} ref=${ref:-tree-${tree:0:12}}
}

hash_files() {
  local scratch
  scratch=$(mktemp -d)
  (
    export GIT_DIR=$scratch GIT_WORK_TREE=$1
    cd "$1" || exit 1
    git init -q
    git -c core.compression=0 -c core.autocrlf=false add -A 2>/dev/null
    git write-tree
  )
  rm -rf "$scratch"
}

identify_bundle() {
  local heads line
  origin="bundle $bundle"
  heads=$(git bundle list-heads "$bundle" 2>&1) ||
    fail $missing "\"$bundle\" is not a git bundle, or is damaged: $(tail -n 1 <<<"$heads")" 'copy or download it again'
  line=$(awk -v want="${ref:-HEAD}" '$2 == want || $2 == "refs/tags/" want || $2 == "refs/heads/" want || $1 == want { print; exit }' <<<"$heads")
  [[ -n $line ]] ||
    fail $missing "the bundle has no \"${ref:-HEAD}\"; it has: $(cut -d' ' -f2 <<<"$heads" | paste -sd' ' -)" 'name one of them with --ref'
  commit=${line%% *} want=${line#* } ref=${ref:-${line:0:12}}
  identity="commit $commit"
}

identify_branch() {
  local refs
  refs=$(ask_repo) || fail $unavailable "cannot reach $repo to look up \"$ref\"" \
    "build a release ($(known_npm_refs)), --source DIR or --bundle FILE"
  [[ -n $refs ]] || fail_unknown_ref
  want=${refs%%[[:space:]]*}
  identity="$repo $want"
}

known_npm_refs() { cut -d' ' -f1 <<<"$npm_releases" | paste -sd, - | sed 's/,/, /g'; }

fail_unknown_ref() {
  fail $missing "$repo has no release or branch \"$ref\"" "the newest release tested with llmctl is $default_ref"
}

# Prints the repository's refs with this name; fails soon when the repository does not answer.
ask_repo() {
  local limited=()
  if has timeout; then limited=(timeout 20); fi
  GIT_TERMINAL_PROMPT=0 ${limited[@]+"${limited[@]}"} git -c http.lowSpeedLimit=1 -c http.lowSpeedTime=10 \
    ls-remote "$repo" "refs/tags/$ref" "refs/heads/$ref"
}

fetch_source() {
  if [[ -n $source_dir ]]; then
    say source "$source_dir"
    return
  fi
  source_dir=$work/src
  if [[ -s $work/fetched ]]; then
    { read -r commit && read -r origin; } <"$work/fetched"
    say source "$origin, fetched before"
    return
  fi
  rm -rf "$source_dir"
  git init -q "$source_dir"
  if [[ -n $bundle ]]; then
    say source "$bundle"
    fetch_bundle "$bundle" "$want"
  else
    fetch_repo || fetch_npm
  fi
  commit=$(git -C "$source_dir" rev-parse HEAD)
  printf '%s\n' "$commit" "$origin" >"$work/fetched"
}

# Returns an error when the repository does not answer, and ends the script when it has no such ref.
fetch_repo() {
  local refs
  refs=$(ask_repo 2>>"$log") || return 1
  [[ -n $refs || $want =~ ^[0-9a-f]{40}$ ]] || fail_unknown_ref
  say source "$repo $ref"
  check_out -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 fetch --depth 1 "$repo" "$want" ||
    fail_with_log "fetching $ref from $repo failed" $unavailable
}

# fetch_bundle FILE REF
fetch_bundle() {
  check_out fetch "$1" "$2" ||
    fail $missing "bundle \"$1\" is damaged: $(grep -E '^(fatal|error):' "$log" | tail -n 1)" 'copy or download it again'
}

# check_out GIT-ARGUMENTS: fetches with them, then writes the files
check_out() {
  logged git -C "$source_dir" "$@" || return 1
  logged git -C "$source_dir" checkout -q FETCH_HEAD
}

fetch_npm() {
  local release version hash package tag
  release=$(awk -v ref="$ref" '$1 == ref' <<<"$npm_releases")
  if [[ $repo != "$default_repo" || -z $release ]]; then
    fail $unavailable "cannot reach $repo: $(tail -n 1 "$log")" \
      "without it: --source DIR, --bundle FILE, or from npm a release of $default_repo: $(known_npm_refs)"
  fi
  read -r _ version hash <<<"$release"
  origin="npm node-llama-cpp@$version"
  say source "cannot reach $repo: taking the same release from the npm package node-llama-cpp $version"
  has npm || fail $missing 'not found: npm' 'on Debian: apt-get install npm'
  logged npm pack "node-llama-cpp@$version" --pack-destination "$work" || fail_with_log "npm cannot fetch node-llama-cpp@$version" $unavailable
  package=$work/node-llama-cpp-$version.tgz
  [[ $(hash_of "$package") == "$hash" ]] ||
    fail $missing "node-llama-cpp@$version is not the package that is expected: its SHA-512 is $(hash_of "$package")" 'see whether a proxy changes downloads'
  tar -xzf "$package" -C "$work" package/llama/gitRelease.bundle package/llama/llama.cpp.info.json
  tag=$(node -p 'JSON.parse(fs.readFileSync(process.argv[1], "utf8")).tag' "$work/package/llama/llama.cpp.info.json")
  [[ $tag == "$ref" ]] || fail $missing "node-llama-cpp@$version holds llama.cpp $tag, not $ref"
  fetch_bundle "$work/package/llama/gitRelease.bundle" HEAD
}

hash_of() {
  node -p '"sha512-" + crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$1"
}
