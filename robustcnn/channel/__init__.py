"""The way from one picture to another as batched, differentiable functions: print, lens, light, sensor, file.

Images are float (N, C, H, W) in [0, 1]; amounts are one a picture.
"""

from robustcnn.channel.compression import jpeg as jpeg
from robustcnn.channel.homography import perspective as perspective
from robustcnn.channel.lens import blur as blur
from robustcnn.channel.lens import disk as disk
from robustcnn.channel.lens import filtered as filtered
from robustcnn.channel.lens import gaussian as gaussian
from robustcnn.channel.lens import resize as resize
from robustcnn.channel.lens import streak as streak
from robustcnn.channel.light import brightness as brightness
from robustcnn.channel.light import contrast as contrast
from robustcnn.channel.light import noise as noise
from robustcnn.channel.light import white_balance as white_balance
from robustcnn.channel.photo import PARTS as PARTS
from robustcnn.channel.photo import Channel as Channel
from robustcnn.channel.photo import Photo as Photo
from robustcnn.channel.photo import Shots as Shots
