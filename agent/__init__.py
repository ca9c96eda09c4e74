"""The gate agent: what runs inside a face-recognition turnstile lane."""

import os

# One thread for numpy's matrix products, before numpy is first imported. Measured on two cores, one of them busy: a search of 15,000 people
# takes 0.27 ms with one thread; with two it takes 0.13 ms or, whenever the threads wait for each other, 8 ms.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A camera that gives nothing holds a read for so many seconds (10 if left alone), and OpenCV's warnings say what its camera says better.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
# FFmpeg's too: at each try to reach an absent network camera it writes a line. 8: fatal.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")
