# SPDX-License-Identifier: GPL-2.0
"""Read the type information (BTF) of a kernel, a module, or a bare .BTF file."""

import lzma
import struct

(INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC,
 FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64) = range(1, 20)

# Bytes that follow each entry: a fixed part, and one for each of vlen items.
FIXED = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
PER_ITEM = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
POINTER_BITS = 64


class Type:
    __slots__ = ("kind", "name", "size", "flag", "items")

    def __init__(self, kind, name, size, flag, items):
        self.kind = kind
        self.name = name
        self.size = size    # or the id of the type that this one refers to
        self.flag = flag
        self.items = items


def section(data, wanted):
    """The content of a section of a 64-bit little-endian ELF file, or None."""
    shoff = struct.unpack_from("<Q", data, 40)[0]
    entsize, count, names = struct.unpack_from("<HHH", data, 58)
    if count == 0:
        count = struct.unpack_from("<Q", data, shoff + 32)[0]
    heads = [struct.unpack_from("<IIQQQQ", data, shoff + i * entsize) for i in range(count)]
    strings = heads[names][4]
    for name, kind, _, _, offset, size in heads:
        start = strings + name
        if data[start:data.index(b"\0", start)].decode() == wanted:
            return data[offset:offset + size]
    return None


class Btf:
    def __init__(self, path, base=None):
        with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
            data = f.read()
        if data[:4] == b"\x7fELF":
            data = section(data, ".BTF")
            if data is None:
                raise ValueError(f"{path} has no type information (.BTF)")
        magic, _, _, hdr, type_off, type_len, str_off, str_len = struct.unpack_from("<HBBIIIII", data)
        if magic != 0xeb9f:
            raise ValueError(f"{path} is not BTF")
        self.base = base
        self.first = len(base) if base else 1
        self.string_base = base.string_end if base else 0
        self.string_end = self.string_base + str_len
        self.strings = data[hdr + str_off:hdr + str_off + str_len]
        self.types = []
        self.parse(data[hdr + type_off:hdr + type_off + type_len])
        self.text_cache = {}

    def __len__(self):
        return self.first + len(self.types)

    def string(self, offset):
        if offset < self.string_base:
            return self.base.string(offset)
        offset -= self.string_base
        return self.strings[offset:self.strings.index(b"\0", offset)].decode()

    def parse(self, data):
        pos = 0
        while pos < len(data):
            name, info, size = struct.unpack_from("<III", data, pos)
            pos += 12
            kind, vlen, flag = info >> 24 & 31, info & 0xffff, info >> 31
            items = None
            if kind in FIXED:
                items = struct.unpack_from("<%dI" % (FIXED[kind] // 4), data, pos)
                pos += FIXED[kind]
            elif kind in PER_ITEM:
                step = PER_ITEM[kind]
                items = [struct.unpack_from("<%dI" % (step // 4), data, pos + i * step)
                         for i in range(vlen)]
                pos += step * vlen
            self.types.append(Type(kind, name, size, flag, items))

    def __getitem__(self, number):
        if number < self.first:
            return self.base[number]
        return self.types[number - self.first]

    def all(self):
        """Every (id, type), those of the base included."""
        if self.base:
            yield from self.base.all()
        yield from enumerate(self.types, self.first)

    def name(self, t):
        return self.string(t.name)

    def bits(self, number):
        """The size of a type in bits."""
        while True:
            t = self[number]
            if t.kind in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG, VAR):
                number = t.size
            elif t.kind == PTR:
                return POINTER_BITS
            elif t.kind == ARRAY:
                return self.bits(t.items[0]) * t.items[2]
            elif t.kind in (FUNC, FUNC_PROTO, FWD):
                return 0
            else:
                return t.size * 8

    def members(self, number):
        """(name, type id, bit offset, bits) of each direct member of a struct or union."""
        t = self[number]
        for name, kind, offset in t.items:
            if t.flag:
                bits, offset = offset >> 24, offset & 0xffffff
                yield self.string(name), kind, offset, bits or self.bits(kind)
            else:
                yield self.string(name), kind, offset, self.bits(kind)

    def flat(self, number, at=0):
        """As members(), with those of anonymous structs and unions in their place."""
        for name, kind, offset, bits in self.members(number):
            if not name and self[kind].kind in (STRUCT, UNION):
                yield from self.flat(kind, at + offset)
            else:
                yield name, kind, at + offset, bits

    def text(self, number):
        """The type as one would write it; structs by name, functions in full."""
        if number == 0:
            return "void"
        cached = self.text_cache.get(number)
        if cached is None:
            cached = self.text_cache[number] = self.make_text(number)
        return cached

    def make_text(self, number):
        t = self[number]
        name = self.name(t)
        if t.kind in (INT, FLOAT, TYPEDEF):
            return name
        if t.kind == PTR:
            return self.text(t.size) + " *"
        if t.kind == ARRAY:
            return "%s [%d]" % (self.text(t.items[0]), t.items[2])
        if t.kind in (STRUCT, UNION, FWD):
            word = "union " if (t.flag if t.kind == FWD else t.kind == UNION) else "struct "
            if name:
                return word + name
            return word + "{ %s}" % "".join(f"{self.text(k)} {n} at {o}; "
                                            for n, k, o, _ in self.members(number))
        if t.kind in (ENUM, ENUM64):
            return "enum " + (name or "{ %s}" % "".join(f"{n} = {v}, " for n, v in self.enum(number)))
        if t.kind in (CONST, VOLATILE, RESTRICT):
            word = {CONST: "const ", VOLATILE: "volatile ", RESTRICT: "restrict "}[t.kind]
            return word + self.text(t.size)
        if t.kind == FUNC_PROTO:
            args = ", ".join("..." if k == 0 else self.text(k) for _, k in t.items)
            return f"{self.text(t.size)} ({args})"
        return self.text(t.size)    # FUNC, VAR, TYPE_TAG

    def enum(self, number):
        """(name, value) of each constant."""
        t = self[number]
        for item in t.items:
            if t.kind == ENUM:
                yield self.string(item[0]), item[1]
            else:
                yield self.string(item[0]), item[1] | item[2] << 32
