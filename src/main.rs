fn main() {
    println!("redpoll");
}
