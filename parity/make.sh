#!/bin/sh
# Remakes every golden. PYTHON names an interpreter with requirements.txt installed.
set -e
cd "$(dirname "$0")"
export PYTHONHASHSEED=0 PYTHONWARNINGS=ignore
for script in ops patterns cases goldenSchedule dynamicMap adamw8bit llama llamaTrain preferences tokenizers \
  chat generation families configs folderKeys \
  gptFamilies encoders vision images imageTask \
  embeddings variants saved liveAdapters eva methods arithmetic rouge spectrum subspace quant quantizedAdapters \
  ggufBases; do
  "${PYTHON:-python3}" "$script.py"
done
