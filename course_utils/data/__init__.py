"""Images in, as plain tensors: `loading` has all data sets; what is made here has files of its own."""

from course_utils.data.loading import Dataset, for_lesson, load, torchvision, wanted

__all__ = ["Dataset", "for_lesson", "load", "torchvision", "wanted"]
