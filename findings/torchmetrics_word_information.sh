#!/usr/bin/env bash
# torchmetrics and jiwer disagree about the information preserved in one and the same pair of sentences.
#
# Guess, written first: two libraries that agree on the word error rate agree on MER, WIL and WIP, which
#   count hits, substitutions, deletions and insertions of the same alignment.
# Versions: torchmetrics 1.9.0, jiwer 4.0.0, torch 2.13.0 (CPU), numpy 2.4.6.
# Behavior: torchmetrics has no alignment: it takes the longer length less the edit distance for the number of
#   right words. That is too low as soon as a sentence has both a deletion and an insertion, as when one
#   word is dropped at the start and one added at the end.
# Seen: "the cat sat on the mat" heard as "cat sat on the mat today", 5 of 6 words right: WER 1/3 in both;
#   WIP 25/36 with jiwer and 16/36 with torchmetrics, MER 2/7 and 1/3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 torchmetrics==1.9.0 jiwer==4.0.0 numpy==2.4.6
"$work/env/bin/python" - <<'PY'
import jiwer
from torchmetrics.text import MatchErrorRate, WordErrorRate, WordInfoLost, WordInfoPreserved

said, heard = "the cat sat on the mat", "cat sat on the mat today"
counted = jiwer.process_words(said, heard)
measures = (WordErrorRate, MatchErrorRate, WordInfoLost, WordInfoPreserved)
distances = [round(float(kind()([heard], [said])), 4) for kind in measures]
aligned = [round(value, 4) for value in (counted.wer, counted.mer, counted.wil, counted.wip)]
print("hits", counted.hits, "jiwer", aligned, "torchmetrics", distances)
assert (counted.hits, counted.substitutions, counted.deletions, counted.insertions) == (5, 0, 1, 1)
assert aligned == [0.3333, 0.2857, 0.3056, 0.6944]
assert distances == [0.3333, 0.3333, 0.5556, 0.4444]
PY
