//! An object store whose writes fail on demand, and which notes how much it is asked for at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use simulator_archive::Location;

/// Which writes fail, counted from 0. Deleting and listing count as writing, because only a writer does them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No write fails.
    None,
    /// One write fails, as on a disk that is full for a moment.
    Once(u64),
    /// All writes fail from one on, as after a crash.
    From(u64),
}

#[derive(Debug)]
pub(crate) struct TestStore {
    inner: Arc<InMemory>,
    fault: Fault,
    writes: AtomicU64,
    largest_put: AtomicU64,
    largest_get: AtomicU64,
}

impl TestStore {
    pub(crate) fn new(inner: Arc<InMemory>, fault: Fault) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self {
            inner,
            fault,
            writes: zero(),
            largest_put: zero(),
            largest_get: zero(),
        })
    }

    pub(crate) fn location(self: &Arc<Self>) -> Location {
        Location::new(
            Arc::clone(self) as Arc<dyn ObjectStore>,
            Path::from("archives/a"),
            "memory",
        )
    }

    /// How many writes were tried.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn largest_put(&self) -> u64 {
        self.largest_put.load(Ordering::SeqCst)
    }

    pub(crate) fn largest_get(&self) -> u64 {
        self.largest_get.load(Ordering::SeqCst)
    }

    fn write(&self) -> Result<()> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        let fails = match self.fault {
            Fault::None => false,
            Fault::Once(at) => write == at,
            Fault::From(at) => write >= at,
        };
        match fails {
            true => Err(object_store::Error::Generic {
                store: "test",
                source: "no space left on device".into(),
            }),
            false => Ok(()),
        }
    }
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestStore({:?})", self.fault)
    }
}

#[async_trait::async_trait]
impl ObjectStore for TestStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.write()?;
        self.largest_put
            .fetch_max(payload.content_length() as u64, Ordering::SeqCst);
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.write()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let returns_bytes = !options.head;
        let result = self.inner.get_opts(location, options).await?;
        if returns_bytes {
            self.largest_get
                .fetch_max(result.range.end - result.range.start, Ordering::SeqCst);
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        match self.write() {
            Ok(()) => locations
                .then(move |path| {
                    let inner = Arc::clone(&inner);
                    async move {
                        let path = path?;
                        inner.delete(&path).await.map(|()| path)
                    }
                })
                .boxed(),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.write()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.write()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// The names of all objects in a store, sorted.
pub(crate) async fn names(store: &InMemory) -> Vec<String> {
    let mut names: Vec<String> = store
        .list(None)
        .map(|meta| meta.unwrap().location.to_string())
        .collect()
        .await;
    names.sort();
    names
}
