"""nginx and apache2 with a configuration of their own, for plain HTTP: the words that start them.
They serve FOLDER/site, which whoever they become has to be able to read."""

import nginx_configuration

_APACHE_MODULES = "/usr/lib/apache2/modules"
_NGINX = """\
  sendfile on;
  keepalive_timeout 60;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/site;
    location /heard {{ return 200 $http_x_filler; }}
  }}
"""
_APACHE = """\
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
Listen 127.0.0.1:{port}
User nobody
Group nogroup
StartServers 2
MinSpareServers 1
MaxSpareServers 2
EnableSendfile On
DocumentRoot {folder}/site
"""


def nginx(folder, port):
    """/heard answers with the header X-Filler of the request."""
    return nginx_configuration.start_words(folder, _NGINX.format(folder=folder, port=port),
                                           f"{nginx_configuration.AS_NOBODY}\nworker_processes 2;")


def apache(folder, port):
    path = folder / "configuration"
    path.write_text(_APACHE.format(folder=folder, port=port, modules=_APACHE_MODULES),
                    encoding="ascii")
    return ("apache2", "-D", "FOREGROUND", "-d", folder, "-f", path)
