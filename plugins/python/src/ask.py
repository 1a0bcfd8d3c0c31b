"""Says what interpreter runs this, as one JSON object: muster's plugin `python` asks before it embeds it."""
import json
import os
import platform
import sys
import sysconfig

value = sysconfig.get_config_var
names = [name for name in (value("INSTSONAME"), value("LDLIBRARY")) if name and ".so" in name]
folders = [value("LIBDIR"), os.path.join(sys.base_prefix, "lib"), value("LIBPL")]
paths = [os.path.join(folder, name) for folder in folders if folder for name in names]
print(json.dumps({
    "executable": sys.executable,
    "implementation": platform.python_implementation(),
    "version": list(sys.version_info[:3]),
    "library": next(filter(os.path.isfile, paths), None),
    "free_threaded": bool(value("Py_GIL_DISABLED")),
}))
