"""The gate agent: what runs inside a face-recognition turnstile lane."""

import os

# One thread for numpy's matrix products, before numpy is first imported. Measured on two cores, one of them busy: a search of 15,000 people
# takes 0.27 ms with one thread; with two it takes 0.13 ms or, whenever the threads wait for each other, 8 ms.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
