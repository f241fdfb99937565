# SPDX-License-Identifier: Apache-2.0
"""Reads the interface that holdfastd gives out, and says where a reply differs from what is written there."""
import re


class Interface:
    def __init__(self, description):
        text = re.sub(r"#[^\n]*", "", description)
        self.types = {name: self.fields(body) for name, body in re.findall(r"\btype (\w+) \(([^)]*)\)", text)}
        self.replies = {name: self.fields(body) for name, body in re.findall(r"\bmethod (\w+)\([^)]*\) -> \(([^)]*)\)", text)}

    @staticmethod
    def fields(body):
        return {name.strip(): kind.strip() for name, kind in (field.split(":") for field in body.split(",") if field.strip())}

    def differences(self, value, kind, where=""):
        if kind.startswith("?"):
            if value is None:
                return []
            return self.differences(value, kind[1:], where)
        if kind.startswith("[]"):
            if not isinstance(value, list):
                return ["%s: %r is no list" % (where, value)]
            return [d for i, item in enumerate(value) for d in self.differences(item, kind[2:], "%s[%d]" % (where, i))]
        plain = {"int": int, "string": str, "bool": bool}
        if kind in plain:
            right = isinstance(value, plain[kind]) and (kind == "bool" or not isinstance(value, bool))
            return [] if right else ["%s: %r is no %s" % (where, value, kind)]
        return self.object_differences(value, self.types[kind], where)

    def object_differences(self, value, fields, where):
        if not isinstance(value, dict):
            return ["%s: %r is no object" % (where, value)]
        found = ["%s: unknown member %s" % (where, name) for name in value if name not in fields]
        for name, kind in fields.items():
            if name in value or not kind.startswith("?"):
                found += self.differences(value.get(name), kind, "%s.%s" % (where, name))
        return found

    def reply_differences(self, method, parameters):
        return self.object_differences(parameters, self.replies[method], method)
