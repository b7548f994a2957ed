"""nginx and apache2 with a configuration of their own, for plain HTTP: the words that start them.
They serve FOLDER/site, which whoever they become has to be able to read."""

_APACHE_MODULES = "/usr/lib/apache2/modules"
_NGINX = """\
daemon off;
user nobody nogroup;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  keepalive_timeout 60;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/site;
    location /heard {{ return 200 $http_x_filler; }}
  }}
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
    return ("nginx", "-p", folder, "-e", "stderr", "-c", _configuration(_NGINX, folder, port))


def apache(folder, port):
    return ("apache2", "-D", "FOREGROUND", "-d", folder, "-f",
            _configuration(_APACHE, folder, port))


def _configuration(text, folder, port):
    path = folder / "configuration"
    path.write_text(text.format(folder=folder, port=port, modules=_APACHE_MODULES),
                    encoding="ascii")
    return path
