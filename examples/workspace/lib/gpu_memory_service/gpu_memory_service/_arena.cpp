// The arena behind gpu_memory_service.Arena: first fit over a sorted list of free ranges, which are
// joined again when a range between them comes back.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <new>
#include <optional>

namespace {

class Ranges {
public:
    Ranges(std::uint64_t capacity, std::uint64_t alignment) : alignment_(alignment)
    {
        const std::uint64_t usable = capacity - capacity % alignment;
        if (usable > 0) {
            free_[0] = usable;
        }
    }

    std::optional<std::uint64_t> allocate(std::uint64_t size)
    {
        if (size == 0 || size > UINT64_MAX - (alignment_ - 1)) {
            return std::nullopt;
        }
        const std::uint64_t rounded = (size + alignment_ - 1) / alignment_ * alignment_;
        const auto found = std::find_if(free_.begin(), free_.end(),
                                        [&](const auto &range) { return range.second >= rounded; });
        if (found == free_.end()) {
            return std::nullopt;
        }
        const auto [start, length] = *found;
        taken_[start] = rounded;
        if (length > rounded) {
            free_[start + rounded] = length - rounded;
        }
        free_.erase(start);
        used_ += rounded;
        return start;
    }

    bool release(std::uint64_t start)
    {
        const auto taken = taken_.find(start);
        if (taken == taken_.end()) {
            return false;
        }
        used_ -= taken->second;
        auto range = free_.emplace(start, taken->second).first;
        taken_.erase(taken);
        join(range, std::next(range));
        if (range != free_.begin()) {
            join(std::prev(range), range);
        }
        return true;
    }

    std::uint64_t used() const { return used_; }

    std::uint64_t largest() const
    {
        std::uint64_t most = 0;
        for (const auto &range : free_) {
            most = std::max(most, range.second);
        }
        return most;
    }

private:
    using Map = std::map<std::uint64_t, std::uint64_t>;

    void join(Map::iterator left, Map::iterator right)
    {
        if (right != free_.end() && left->first + left->second == right->first) {
            left->second += right->second;
            free_.erase(right);
        }
    }

    std::uint64_t alignment_;
    std::uint64_t used_ = 0;
    Map free_;
    Map taken_;
};

struct Arena {
    PyObject_HEAD
    Ranges *ranges;
};

Ranges &ranges(PyObject *self)
{
    return *reinterpret_cast<Arena *>(self)->ranges;
}

// PyArg_Parse's "K" takes negative numbers without a word.
bool unsigned_value(PyObject *value, std::uint64_t &result)
{
    result = PyLong_AsUnsignedLongLong(value);
    return result != UINT64_MAX || PyErr_Occurred() == nullptr;
}

PyObject *arena_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static const char *names[] = {"capacity", "alignment", nullptr};
    PyObject *given[2] = {nullptr, nullptr};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|O!:Arena", const_cast<char **>(names),
                                     &PyLong_Type, &given[0], &PyLong_Type, &given[1])) {
        return nullptr;
    }
    std::uint64_t capacity = 0;
    std::uint64_t alignment = 256;
    if (!unsigned_value(given[0], capacity) ||
        (given[1] != nullptr && !unsigned_value(given[1], alignment))) {
        return nullptr;
    }
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        PyErr_SetString(PyExc_ValueError, "the alignment must be a power of two");
        return nullptr;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self == nullptr) {
        return nullptr;
    }
    try {
        reinterpret_cast<Arena *>(self)->ranges = new Ranges(capacity, alignment);
    } catch (const std::bad_alloc &) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return self;
}

void arena_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    delete reinterpret_cast<Arena *>(self)->ranges;
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *arena_allocate(PyObject *self, PyObject *argument)
{
    std::uint64_t size = 0;
    if (!unsigned_value(argument, size)) {
        return nullptr;
    }
    try {
        const auto offset = ranges(self).allocate(size);
        if (!offset) {
            PyErr_Format(PyExc_MemoryError, "no free range of %llu bytes",
                         static_cast<unsigned long long>(size));
            return nullptr;
        }
        return PyLong_FromUnsignedLongLong(*offset);
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
}

PyObject *arena_release(PyObject *self, PyObject *argument)
{
    std::uint64_t offset = 0;
    if (!unsigned_value(argument, offset)) {
        return nullptr;
    }
    try {
        if (!ranges(self).release(offset)) {
            PyErr_Format(PyExc_ValueError, "nothing is allocated at %llu",
                         static_cast<unsigned long long>(offset));
            return nullptr;
        }
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyObject *arena_used(PyObject *self, void *)
{
    return PyLong_FromUnsignedLongLong(ranges(self).used());
}

PyObject *arena_largest(PyObject *self, void *)
{
    return PyLong_FromUnsignedLongLong(ranges(self).largest());
}

PyMethodDef arena_methods[] = {
    {"allocate", arena_allocate, METH_O, "allocate(size) -> int\n\nOffset of a new range."},
    {"release", arena_release, METH_O, "release(offset)\n\nGive a range back."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef arena_properties[] = {
    {"used", arena_used, nullptr, "Bytes given out, rounded up to the alignment.", nullptr},
    {"largest", arena_largest, nullptr, "Bytes of the largest free range.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot arena_slots[] = {
    {Py_tp_doc, const_cast<char *>("Arena(capacity, alignment=256)")},
    {Py_tp_new, reinterpret_cast<void *>(arena_new)},
    {Py_tp_dealloc, reinterpret_cast<void *>(arena_dealloc)},
    {Py_tp_methods, arena_methods},
    {Py_tp_getset, arena_properties},
    {0, nullptr},
};

PyType_Spec arena_spec = {
    "gpu_memory_service._arena.Arena", sizeof(Arena), 0, Py_TPFLAGS_DEFAULT, arena_slots,
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_arena", "The arena.", -1, nullptr, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__arena()
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = module != nullptr ? PyType_FromSpec(&arena_spec) : nullptr;
    if (type == nullptr || PyModule_AddObject(module, "Arena", type) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(module);
        return nullptr;
    }
    return module;
}
