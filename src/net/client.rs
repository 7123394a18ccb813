//! stub
pub fn shared() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().build()
}
