//! Python extension modules in Rust without an outside crate: the stable ABI declared by hand
//! ([`raw`]), owned references, conversions, and the [`module!`] macro.

pub mod raw;

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};

use raw::{PyMethodDef, PyModuleDef, PyModuleDef_Base, PyObject};

/// Why a function has no result.
pub enum Error {
    /// To be raised as `ValueError`.
    Value(String),
    /// Python has already set the exception.
    Raised,
}

impl Error {
    /// A `ValueError` with this text.
    pub fn value(message: impl ToString) -> Self {
        Self::Value(message.to_string())
    }
}

/// An owned reference to a Python object.
pub struct Object(NonNull<PyObject>);

impl Object {
    fn own(pointer: *mut PyObject) -> Result<Self, Error> {
        NonNull::new(pointer).map(Self).ok_or(Error::Raised)
    }

    fn release(self) -> *mut PyObject {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, and extension code runs with the interpreter attached.
        unsafe { raw::Py_DecRef(self.0.as_ptr()) }
    }
}

/// A Rust value that has a Python counterpart.
pub trait IntoObject {
    /// Makes the Python object.
    ///
    /// # Errors
    /// Python's own, when it cannot make the object.
    fn into_object(self) -> Result<Object, Error>;
}

impl IntoObject for u64 {
    fn into_object(self) -> Result<Object, Error> {
        // SAFETY: takes a plain integer.
        Object::own(unsafe { raw::PyLong_FromUnsignedLongLong(self) })
    }
}

impl IntoObject for &str {
    fn into_object(self) -> Result<Object, Error> {
        let length = isize::try_from(self.len()).map_err(Error::value)?;
        // SAFETY: pointer and length are those of a valid UTF-8 string; Python copies it.
        Object::own(unsafe { raw::PyUnicode_FromStringAndSize(self.as_ptr().cast(), length) })
    }
}

impl<T: IntoObject> IntoObject for Vec<T> {
    fn into_object(self) -> Result<Object, Error> {
        let length = isize::try_from(self.len()).map_err(Error::value)?;
        // SAFETY: the length is not negative.
        let list = Object::own(unsafe { raw::PyList_New(length) })?;
        for (index, item) in (0..).zip(self) {
            let item = item.into_object()?.release();
            // SAFETY: the index is below the length, and the list takes the reference over.
            unsafe { raw::PyList_SetItem(list.0.as_ptr(), index, item) };
        }
        Ok(list)
    }
}

/// The positional arguments of a call.
pub struct Args(*mut PyObject);

impl Args {
    /// Fails unless there are exactly `count` arguments.
    ///
    /// # Errors
    /// `ValueError` naming both numbers.
    pub fn expect(&self, count: isize) -> Result<(), Error> {
        // SAFETY: Python passes a tuple to METH_VARARGS functions.
        let given = unsafe { raw::PyTuple_Size(self.0) };
        if given == count {
            return Ok(());
        }
        Err(Error::Value(format!(
            "{count} arguments are needed, not {given}"
        )))
    }

    fn get(&self, index: isize) -> Result<*mut PyObject, Error> {
        // SAFETY: as above; out of range gives null, and the reference is borrowed from the tuple.
        let item = unsafe { raw::PyTuple_GetItem(self.0, index) };
        if item.is_null() {
            Err(Error::Raised)
        } else {
            Ok(item)
        }
    }

    /// The argument as an unsigned integer.
    ///
    /// # Errors
    /// Python's own for another type or a number out of range.
    pub fn integer(&self, index: isize) -> Result<u64, Error> {
        // SAFETY: the pointer is a live object.
        unsafe { integer(self.get(index)?) }
    }

    /// The items of an iterable argument as unsigned integers.
    ///
    /// # Errors
    /// As for [`Args::integer`].
    pub fn integers(&self, index: isize) -> Result<Vec<u64>, Error> {
        // SAFETY: `each` passes live objects.
        self.each(index, |item| unsafe { integer(item) })
    }

    /// The items of an iterable argument as text.
    ///
    /// # Errors
    /// Python's own for another type.
    pub fn texts(&self, index: isize) -> Result<Vec<String>, Error> {
        // SAFETY: `each` passes live objects.
        self.each(index, |item| unsafe { text(item) })
    }

    fn each<T>(
        &self,
        index: isize,
        convert: impl Fn(*mut PyObject) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        // SAFETY: the pointer is a live object; the new references are owned.
        let iterator = Object::own(unsafe { raw::PyObject_GetIter(self.get(index)?) })?;
        let mut items = Vec::new();
        loop {
            let item = unsafe { raw::PyIter_Next(iterator.0.as_ptr()) };
            if item.is_null() {
                break;
            }
            items.push(convert(Object::own(item)?.0.as_ptr())?);
        }
        raised().map(|()| items)
    }
}

fn raised() -> Result<(), Error> {
    // SAFETY: the interpreter is attached.
    if unsafe { raw::PyErr_Occurred() }.is_null() {
        Ok(())
    } else {
        Err(Error::Raised)
    }
}

unsafe fn integer(item: *mut PyObject) -> Result<u64, Error> {
    let value = unsafe { raw::PyLong_AsUnsignedLongLong(item) };
    if value == u64::MAX {
        raised()?;
    }
    Ok(value)
}

unsafe fn text(item: *mut PyObject) -> Result<String, Error> {
    let mut size = 0;
    let start = unsafe { raw::PyUnicode_AsUTF8AndSize(item, &raw mut size) };
    if start.is_null() {
        return Err(Error::Raised);
    }
    let size = usize::try_from(size).map_err(Error::value)?;
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size) };
    String::from_utf8(bytes.to_vec()).map_err(Error::value)
}

/// Runs the Rust body of a Python function; used by [`module!`].
///
/// # Safety
/// `args` is the tuple that Python passed to the function.
pub unsafe fn call<T: IntoObject>(
    args: *mut PyObject,
    body: fn(&Args) -> Result<T, Error>,
) -> *mut PyObject {
    match body(&Args(args)).and_then(IntoObject::into_object) {
        Ok(object) => object.release(),
        Err(error) => {
            if let Error::Value(message) = error {
                if let Ok(message) = message.as_str().into_object() {
                    // SAFETY: both are live objects; Python takes its own references.
                    unsafe { raw::PyErr_SetObject(raw::PyExc_ValueError, message.0.as_ptr()) };
                }
            }
            ptr::null_mut()
        }
    }
}

/// One row of a module's table of functions.
#[repr(transparent)]
pub struct Method(PyMethodDef);

// SAFETY: the pointers lead to constants.
unsafe impl Sync for Method {}

impl Method {
    /// A function with positional arguments.
    #[must_use]
    pub const fn new(name: &'static CStr, doc: &'static CStr, body: raw::PyCFunction) -> Self {
        Self(PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: Some(body),
            ml_flags: raw::METH_VARARGS,
            ml_doc: doc.as_ptr(),
        })
    }

    /// The row that ends a table.
    #[must_use]
    pub const fn end() -> Self {
        Self(PyMethodDef {
            ml_name: ptr::null::<c_char>(),
            ml_meth: None,
            ml_flags: 0 as c_int,
            ml_doc: ptr::null(),
        })
    }
}

/// A module's definition, which Python completes in place.
pub struct Definition(UnsafeCell<PyModuleDef>);

// SAFETY: only the interpreter writes to it, while it imports the module.
unsafe impl Sync for Definition {}

impl Definition {
    /// A module without state; `methods` ends with [`Method::end`].
    #[must_use]
    pub const fn new(name: &'static CStr, doc: &'static CStr, methods: &'static [Method]) -> Self {
        Self(UnsafeCell::new(PyModuleDef {
            m_base: PyModuleDef_Base {
                ob_base: PyObject {
                    ob_refcnt: 1,
                    ob_type: ptr::null_mut(),
                },
                m_init: ptr::null_mut(),
                m_index: 0,
                m_copy: ptr::null_mut(),
            },
            m_name: name.as_ptr(),
            m_doc: doc.as_ptr(),
            m_size: -1,
            m_methods: methods.as_ptr().cast(),
            m_slots: ptr::null_mut(),
            m_traverse: ptr::null_mut(),
            m_clear: ptr::null_mut(),
            m_free: ptr::null_mut(),
        }))
    }

    /// Makes the module object.
    ///
    /// # Safety
    /// Called by the interpreter through the module's init function.
    pub unsafe fn create(&self) -> *mut PyObject {
        unsafe { raw::PyModule_Create2(self.0.get(), raw::PYTHON_ABI_VERSION) }
    }
}

/// Defines the init function of an extension module and its functions.
#[macro_export]
macro_rules! module {
    ($init:ident, $name:literal, $doc:literal, { $($function:literal: $body:path, $text:literal;)* }) => {
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $init() -> *mut $crate::raw::PyObject {
            static METHODS: &[$crate::Method] = &[
                $($crate::Method::new($function, $text, {
                    unsafe extern "C" fn entry(
                        _module: *mut $crate::raw::PyObject,
                        args: *mut $crate::raw::PyObject,
                    ) -> *mut $crate::raw::PyObject {
                        unsafe { $crate::call(args, $body) }
                    }
                    entry
                }),)*
                $crate::Method::end(),
            ];
            static DEFINITION: $crate::Definition = $crate::Definition::new($name, $doc, METHODS);
            unsafe { DEFINITION.create() }
        }
    };
}
