# %% [markdown]
# # A small sweep from Python
# Cells as Jupyter, VS Code and Spyder read them; `python examples/digits_sweep.py` runs them all, in under a minute.
# Everything is kept in `./vae-store`, or where `$VAE_SEARCH_STORE` says.

# %%
import vae_search

SPEC = {
    "name": "digits-example",
    "data": {"source": "digits"},
    "search_space": {
        "latent_dim": {"type": "int", "low": 8, "high": 12},
        "beta": {"type": "float", "low": 0.7, "high": 0.9},
        "learning_rate": {"type": "float", "low": 5e-3, "high": 1e-2, "log": True},
        "activation": "elu",
        "depth": 2,
        "width": 64,
        "batch_size": 32,
    },
    "budget": {"trials": 6, "epochs": 27},
    "pruning": {"min_epochs": 9, "reduction_factor": 3},
    "confirm": {"finalists": 2, "seeds": 3},
    "promote": {"model": "digits-example"},
}

# %% [markdown]
# ## Run it
# Running the cell again continues a sweep that was interrupted, and shows one that is finished at once.

# %%
found = vae_search.run(SPEC)
print(f"{found.sweep} is {found.state} after {found.trials} trials; its champion is {found.champion}")

# %% [markdown]
# ## Look at it: pandas frames, the best config first; anything else in SQL

# %%
print(found.best[["trial", "objective", "param_latent_dim", "param_beta"]].to_string(index=False))

# %%
curves = vae_search.query("SELECT trial, epoch, neg_elbo FROM epochs ORDER BY trial, epoch", sweep=found.sweep)
print(curves.pivot(index="epoch", columns="trial", values="neg_elbo").round(1))

# %% [markdown]
# ## Everything about it as one page

# %%
print("Report:", vae_search.report(found.sweep, "digits-example.html"))

# %% [markdown]
# ## Draw from the champion
# Only a config that did as well with fresh seeds, and passed every gate, is one.

# %%
if found.champion is not None:
    images = vae_search.load_model(found.champion).sample(16, seed=0)
    print(f"Drew {len(images)} images of {images.shape[1]}×{images.shape[2]} pixels")
