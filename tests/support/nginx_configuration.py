"""nginx with a configuration of a test's own: what all of them say, and what starts it."""

import os

_TEXT = """\
daemon off;
{main}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""
AS_NOBODY = "user nobody nogroup;"
# Its workers read what a folder of the test has, which is for its owner alone.
AS_WE_ARE = "user root;" if os.geteuid() == 0 else ""
IN_ONE_PROCESS = "master_process off;"


def start_words(folder, http, main=AS_NOBODY):
    """`http` and `main` are directives of these contexts; `folder` has all that nginx writes."""
    path = folder / "nginx.conf"
    path.write_text(_TEXT.format(folder=folder, http=http.rstrip(), main=main), encoding="ascii")
    return ("nginx", "-p", folder, "-e", "stderr", "-c", path)
