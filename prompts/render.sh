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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speak VOICE TEXT FILE: silence trimmed from both ends, inside the telephone
# band, limited so that all are about as loud (-18 dBFS), peaks 3 dB below full scale.
# A word without a pause in it would be louder, and is turned down to -17 dBFS.
# A part of a sentence is spoken more slowly, as people read out numbers.
speak() {
	local pace=145
	case "$2" in *,) pace=125 ;; esac
	espeak-ng -v "$1" -s $pace -p 45 -g 2 -w "$work/raw.wav" -- "$2"
	sox -D -V1 "$work/raw.wav" -b 32 -r 8000 -c 1 "$work/even.wav" \
		silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse \
		rate 8000 sinc 300-3400 norm -6 gain -l 9 sinc -t 80 340-3360 norm -3 pad 0.02 0.06
	local over
	over=$(sox "$work/even.wav" -n stats 2>&1 | awk '/^RMS lev dB/ {print ($4 > -17) ? -17 - $4 : 0}')
	sox -D -V1 "$work/even.wav" -t al "$3" gain "$over"
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
