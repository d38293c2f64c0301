"""Judges recordings by public packages: PESQ-WB (pesq) and STOI (pystoi).

usage: judge.py CLEAN.wav HEARD.wav...    48 kHz mono 16 bit, each heard one aligned to the clean
One line of JSON each. PESQ-WB (ITU-T P.862.2) is defined at 16 kHz.
"""

import json
import sys

from pesq import pesq
from pystoi import stoi
from scipy.io import wavfile
from scipy.signal import resample_poly


def read(path):
    rate, sound = wavfile.read(path)
    assert rate == 48_000, f"{path}: {rate} Hz"
    return sound / 32_768.0


clean = read(sys.argv[1])
clean_16k = resample_poly(clean, 1, 3)
for path in sys.argv[2:]:
    heard = read(path)
    assert len(heard) == len(clean), f"{path}: {len(heard)} samples, not {len(clean)}"
    judged = {
        "pesq_wb": float(pesq(16_000, clean_16k, resample_poly(heard, 1, 3), "wb")),
        "stoi": float(stoi(clean, heard, 48_000)),
    }
    print(json.dumps(judged), flush=True)
