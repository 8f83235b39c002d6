#!/usr/bin/env bash
# Speaks every prompt of the catalogue into headerless 8 kHz A-law files, which
# are committed so that no build needs a speech synthesiser.
# Usage: prompts/render.sh [CATALOGUE [DIRECTORY]]
set -euo pipefail
cd "$(dirname "$0")/.."
catalogue=${1:-prompts/catalog.txt}
into=${2:-rtp/sound/prompts}
for tool in espeak-ng sox; do
	command -v "$tool" >/dev/null || { echo "prompts need $tool: apt-get install espeak-ng sox" >&2; exit 1; }
done
raw=$(mktemp --suffix=.wav)
trap 'rm -f "$raw"' EXIT

# speak VOICE TEXT FILE: silence trimmed from both ends, inside the telephone
# band, limited so that all are about as loud (-18 dBFS), peaks 3 dB below full scale.
speak() {
	espeak-ng -v "$1" -s 145 -p 45 -g 2 -w "$raw" -- "$2"
	sox -D -V1 "$raw" -t al -r 8000 -c 1 "$3" \
		silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse \
		rate 8000 sinc 300-3400 norm -6 gain -l 9 sinc -t 80 340-3360 norm -3 pad 0.02 0.06
}

rm -rf "$into/fr" "$into/en"
mkdir -p "$into/fr" "$into/en"
while IFS='|' read -r id fr en; do
	id=$(echo "$id" | xargs)
	case "$id" in '' | '#'*) continue ;; esac
	speak fr-fr "$fr" "$into/fr/$id.al"
	speak en-gb "$en" "$into/en/$id.al"
done <"$catalogue"
du -sh "$into" | awk '{print "prompts: " $1 " in " $2}'
