//! The part of CPython's stable ABI (3.10) that is called here. Names and layouts are CPython's.
#![allow(non_snake_case, non_upper_case_globals)]

use std::ffi::{c_char, c_int, c_ulonglong, c_void};

pub const METH_VARARGS: c_int = 1;
/// `PYTHON_ABI_VERSION`: what a module of the limited API passes to `PyModule_Create2`.
pub const PYTHON_ABI_VERSION: c_int = 3;

#[repr(C)]
pub struct PyObject {
    pub ob_refcnt: isize,
    pub ob_type: *mut c_void,
}

pub type PyCFunction = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

#[repr(C)]
pub struct PyMethodDef {
    pub ml_name: *const c_char,
    pub ml_meth: Option<PyCFunction>,
    pub ml_flags: c_int,
    pub ml_doc: *const c_char,
}

#[repr(C)]
pub struct PyModuleDef_Base {
    pub ob_base: PyObject,
    pub m_init: *mut c_void,
    pub m_index: isize,
    pub m_copy: *mut PyObject,
}

#[repr(C)]
pub struct PyModuleDef {
    pub m_base: PyModuleDef_Base,
    pub m_name: *const c_char,
    pub m_doc: *const c_char,
    pub m_size: isize,
    pub m_methods: *const PyMethodDef,
    pub m_slots: *mut c_void,
    pub m_traverse: *mut c_void,
    pub m_clear: *mut c_void,
    pub m_free: *mut c_void,
}

unsafe extern "C" {
    pub static PyExc_ValueError: *mut PyObject;

    pub fn PyErr_Occurred() -> *mut PyObject;
    pub fn PyErr_SetObject(kind: *mut PyObject, value: *mut PyObject);
    pub fn PyIter_Next(iterator: *mut PyObject) -> *mut PyObject;
    pub fn PyList_New(length: isize) -> *mut PyObject;
    pub fn PyList_SetItem(list: *mut PyObject, index: isize, item: *mut PyObject) -> c_int;
    pub fn PyLong_AsUnsignedLongLong(value: *mut PyObject) -> c_ulonglong;
    pub fn PyLong_FromUnsignedLongLong(value: c_ulonglong) -> *mut PyObject;
    pub fn PyModule_Create2(definition: *mut PyModuleDef, version: c_int) -> *mut PyObject;
    pub fn PyObject_GetIter(value: *mut PyObject) -> *mut PyObject;
    pub fn PyTuple_GetItem(tuple: *mut PyObject, index: isize) -> *mut PyObject;
    pub fn PyTuple_Size(tuple: *mut PyObject) -> isize;
    pub fn PyUnicode_AsUTF8AndSize(text: *mut PyObject, size: *mut isize) -> *const c_char;
    pub fn PyUnicode_FromStringAndSize(text: *const c_char, size: isize) -> *mut PyObject;
    pub fn Py_DecRef(value: *mut PyObject);
}
