"""One HTML page on finished runs: their numbers, what was looked at afterwards, and what follows.

Making the page needs the extra `report`; it is imported when a page is made.
"""

from keras_ccsam.reporting.make_report import report as report
from keras_ccsam.reporting.predictions import predict as predict
