# %% [markdown]
# # Exercises 14 · Latent explorer
#
# A hunt without code. Three things are hidden in two detectors of circuit boards that came with the course. You find them by
# looking, and write down numbers; the check says whether they hold.
#
# | # | finding | you write | minutes |
# |---|---|---|---|
# | 1 | `worst_good` | one image, one place | 10 |
# | 2 | `hidden_defects` | a list of images, or the statement that there is none | 12 |
# | 3 | `near_and_far` | two images | 8 |
#
# **How a check works.** It does not compare you with one answer where several are right. It tests what you claim, for example "no
# other good image scores worse", and says what does not hold. `checks.ch14.hint("worst_good")` gives the next hint,
# `checks.ch14.answer("worst_good")` says where the worked answer is. Chapter:
# [14 Latent explorer](../notebooks/14_latent_explorer.ipynb).

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import pandas as pd
from IPython.display import display

from tutorial_lib import checks, plots
from tutorial_lib.experiments import hunt
from tutorial_lib.explorer.app import explorer
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME
from tutorial_lib.explorer.models import stored_models
from tutorial_lib.plots import explorer as pictures

plots.style.use()
explorer(stored_models([("fastflow", "board"), ("mahalanobis", "board")]))


# %% [markdown]
# If no picture appears above, you are reading without a kernel: run the cell. Hover names a point, a click opens it. By keyboard: tab to
# the map, arrow keys, Enter, or type the image number.
#
# ## 1 · The good part that scores worst (10 min)
#
# Choose the model "fastflow · board". Which good board that was *not* trained on has the highest score, and which place in it is to
# blame? Write the image number, and row and column of the place in pixels (rows are counted downwards from 0).
#
# **Law.** No other held-out good image has a higher score. The heat map is highest at that place (6 pixels are allowed).

# %%
def worst_good():
    """Returns three whole numbers: image number, row, column."""
    ### BEGIN SOLUTION
    study = hunt.study("fastflow", "board")
    image = hunt.worst_good(study)                      # by mouse: the leftmost blue disc on 'score and radius'
    row, col = divmod(int(study.maps[image].argmax()), study.maps.shape[2])
    return image, row, col
    ### END SOLUTION


checks.ch14.check("worst_good", worst_good)

# %% [markdown]
# Why does it score so? Open its nearest normal image and compare the two pictures at the cross. (The chapter tests such
# a "why" on another part. There the blamed place was not the reason.)
#
# ## 2 · What −log p(z) misses (12 min)
#
# FastFlow's score leaves the log_det out. Should it have listened? The picture shows both halves of the likelihood for circuit
# boards. The dashed lines are limits: 95 % of the good boards keep each of them. Are there defective boards that −log p(z) leaves at
# or below its limit and −log_det puts above its own? Write the numbers of all of them, or an empty list if there are none.
#
# **Law.** Every image of the list is defective, missed by the one and caught by the other, and no such image is left out.

# %%
study = hunt.study("fastflow", "board")
parts = hunt.parts_of(study)
limits = tuple(hunt.limit(parts[name], study.good) for name in (PRIOR, VOLUME))
plots.show(pictures.two_parts(parts[PRIOR].numpy(), parts[VOLUME].numpy(), study.groups, limits),
           f"FastFlow on boards. Limits: −log p(z) {limits[0]:.1f}, −log_det {limits[1]:.1f}; a few far points lie outside.")
rows = [{"image number": i, "name": study.names[i], "−log p(z)": float(parts[PRIOR][i]), "−log_det": float(parts[VOLUME][i])}
        for i in parts[VOLUME].argsort(descending=True).tolist() if not study.train[i]]
display(pd.DataFrame(rows[:24]).round(1))


# %%
def hidden_defects():
    """Returns a list of image numbers; [] states that there are none."""
    ### BEGIN SOLUTION
    return hunt.hidden(study, parts)                    # by hand: the rows of the table that keep the first limit only
    ### END SOLUTION


checks.ch14.check("hidden_defects", hidden_defects)

# %% [markdown]
# The table shows the 24 images with the largest −log_det, good and defective ones. Whatever lies below the limit of −log_det need not be
# looked at. And now count: −log p(z) misses some forty boards. How many of them would a test ring for that rings for one image in twenty,
# whatever it sees?
#
# ## 3 · Near in latent space, far in pixels (8 min)
#
# Choose "mahalanobis · board" in the explorer above. Find two images that this detector takes for nearly the same board although
# their pixels differ a lot.
#
# **Law.** Of all pairs of images, at most 5 % are nearer in latent space, and at least half are nearer in pixels.
#
# The explorer names one neighbour of an image, the nearest normal one. The table names the 24 nearest in latent space, for an image
# that you choose: write its number and run the cell. Each row says how many of all pairs are nearer than this one.

# %%
image = 200                                             # another number, another table
pooled = hunt.study("mahalanobis", "board")
latent, pixels = hunt.pair_shares(pooled)
nearest = [i for i in latent[image].argsort(stable=True).tolist() if i != image][:24]
print(f"Neighbours of image number {image}, {pooled.names[image]}:")
display(pd.DataFrame([{"image number": i, "name": pooled.names[i],
                       "pairs nearer in latent space": f"{float(latent[image, i]):.1%}",
                       "pairs nearer in pixels": f"{float(pixels[image, i]):.0%}"} for i in nearest]))


# %%
def near_and_far():
    """Returns two image numbers."""
    ### BEGIN SOLUTION
    return hunt.best_pair(hunt.study("mahalanobis", "board"))    # by hand: the table of a board of low score
    ### END SOLUTION


checks.ch14.check("near_and_far", near_and_far)

# %% [markdown]
# What do the two have in common, and what not? Compare where the edges of the two boards lie. Then look up how a pooled vector is
# made: chapter 08, step 1.

# %%
checks.ch14.overview()
