"""Makes stoi.json: STOI of reproducible signals by pystoi, the reference implementation.

Needs numpy, scipy and pystoi==0.4.1 (from PyPI). Usage: python stoi.py > stoi.json
The signals are those of tests/src/speech.rs.
"""

import json
import math

import numpy as np
from pystoi import stoi

MASK = (1 << 64) - 1


class Dice:
    def __init__(self, seed):
        self.state = seed

    def unit(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (((z ^ (z >> 31)) >> 11) + 0.5) / (1 << 53)


def speech(seed, seconds, rate):
    dice, phase, length = Dice(seed), 0.0, seconds * rate
    sound = []
    while len(sound) < length:
        syllable = (0.08 + 0.25 * dice.unit()) * rate
        begin, end = 100.0 + 80.0 * dice.unit(), 100.0 + 80.0 * dice.unit()
        formants = [300.0 + 500.0 * dice.unit(), 900.0 + 1500.0 * dice.unit()]
        gains = [
            0.02 + sum(math.exp(-((((begin + end) / 2.0 * h) - f) / 150.0) ** 2) for f in formants)
            for h in range(1, 25)
        ]
        for i in range(int(syllable)):
            along = i / syllable
            phase += (begin + (end - begin) * along) / rate
            harmonics = sum(g * math.sin(2 * math.pi * phase * h) for h, g in enumerate(gains, 1))
            sound.append(0.2 * math.sin(along * math.pi) * harmonics)
        sound += [(dice.unit() - 0.5) * 1e-3 for _ in range(int(0.15 * dice.unit() * rate))]
    return np.array(sound[:length], dtype=np.float32).astype(np.float64)


def damaged(sound, kind, amount, seed, rate):
    dice = Dice(seed)
    if kind == "none":
        return sound
    if kind == "noise":
        return sound + amount * np.array([2.0 * dice.unit() - 1.0 for _ in sound])
    if kind == "clip":
        return np.clip(sound, -amount, amount)
    if kind == "dropouts":
        out, piece = sound.copy(), rate // 50
        for start in range(0, len(out), piece):
            if dice.unit() < amount:
                out[start : start + piece] = 0.0
        return out
    raise ValueError(kind)


CASES = [
    ("none", 0.0),
    ("noise", 0.003),
    ("noise", 0.03),
    ("noise", 0.3),
    ("noise", 3.0),
    ("clip", 0.1),
    ("clip", 0.005),
    ("dropouts", 0.05),
    ("dropouts", 0.3),
    ("dropouts", 0.8),
]

rows = []
for rate in (10000, 48000):
    for seed, (kind, amount) in enumerate(CASES if rate == 10000 else CASES[1:9:3], 1):
        clean = speech(seed, 3, rate)
        value = stoi(clean, damaged(clean, kind, amount, seed + 100, rate), rate)
        rows.append(
            dict(rate=rate, seed=seed, seconds=3, kind=kind, amount=amount, stoi=round(float(value), 9))
        )
print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
