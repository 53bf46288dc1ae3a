"""The live window of ``vitrail look --live``: a page on this machine on which patches are painted away.

- `answers`: what a model makes of an image of which some patches are painted away, as the page draws it
- `caches`: keep the newest few of something, so that memory stays flat
- `drawings`: maps, images and colour scales in the form in which they travel to the page
- `facts`: what a model can be asked, and why not the rest
- `guard`: who may ask the server, and what no answer goes without
- `images`: the images that were opened, as each model takes them
- `open`: models and images to a session; what the page cannot show is refused
- `requests`: what the page may ask for, each value checked
- `seen`: one image as one model sees it, with every answer about it computed once
- `serve`: an address, a port that is free, and the server on it until Ctrl-C
- `server`: the addresses that the page asks, and what each answers
- `session`: the models and images of one window
- `worker`: one thread that computes, and drops what nobody waits for any more
"""
