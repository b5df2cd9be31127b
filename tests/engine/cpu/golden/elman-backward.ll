declare i64 @llvm.smin.i64(i64, i64)

define void @run(ptr noalias %arguments, i64 %part) {
entry:
  %m32 = alloca i64, align 64
  %m63 = alloca i64, align 64
  %m79 = alloca i64, align 64
  %v1 = load i64, ptr %arguments
  %v2 = getelementptr i64, ptr %arguments, i64 1
  %v3 = load i64, ptr %v2
  %v4 = getelementptr i64, ptr %arguments, i64 2
  %v5 = load ptr, ptr %v4
  %v6 = getelementptr i64, ptr %arguments, i64 3
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr i64, ptr %arguments, i64 4
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr i64, ptr %arguments, i64 5
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr i64, ptr %arguments, i64 6
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr i64, ptr %arguments, i64 7
  %v15 = load ptr, ptr %v14
  %v16 = getelementptr i64, ptr %arguments, i64 8
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr i64, ptr %arguments, i64 9
  %v19 = load ptr, ptr %v18
  %v20 = getelementptr i64, ptr %arguments, i64 10
  %v21 = load ptr, ptr %v20
  %v22 = getelementptr i64, ptr %arguments, i64 11
  %v23 = load ptr, ptr %v22
  %v24 = getelementptr i64, ptr %arguments, i64 12
  %v25 = load ptr, ptr %v24
  %v26 = getelementptr i64, ptr %v5, i64 %part
  %v27 = load i64, ptr %v26
  %v28 = add i64 %part, 1
  %v29 = getelementptr i64, ptr %v5, i64 %v28
  %v30 = load i64, ptr %v29
  store i64 0, ptr %m32
  br label %step31
step31:
  %v33 = load i64, ptr %m32
  %v34 = icmp slt i64 %v33, %v1
  br i1 %v34, label %step31.body, label %step31.end
step31.body:
  %v35 = sub i64 %v1, 1
  %v36 = sub i64 %v35, %v33
  %v37 = getelementptr i64, ptr %v7, i64 %v36
  %v38 = load i64, ptr %v37
  %v39 = call i64 @llvm.smin.i64(i64 %v30, i64 %v38)
  %v40 = icmp slt i64 %v27, %v39
  br i1 %v40, label %busy41, label %busy41.end
busy41:
  %v42 = mul i64 %v1, 0
  %v43 = add i64 %v42, %v36
  %v44 = getelementptr i64, ptr %v9, i64 %v43
  %v45 = load i64, ptr %v44
  %v46 = mul i64 %v1, 1
  %v47 = add i64 %v46, %v36
  %v48 = getelementptr i64, ptr %v9, i64 %v47
  %v49 = load i64, ptr %v48
  %v50 = mul i64 %v1, 2
  %v51 = add i64 %v50, %v36
  %v52 = getelementptr i64, ptr %v9, i64 %v51
  %v53 = load i64, ptr %v52
  %v54 = mul i64 %v1, 3
  %v55 = add i64 %v54, %v36
  %v56 = getelementptr i64, ptr %v9, i64 %v55
  %v57 = load i64, ptr %v56
  %v58 = mul i64 %v1, 4
  %v59 = add i64 %v58, %v36
  %v60 = getelementptr i64, ptr %v9, i64 %v59
  %v61 = load i64, ptr %v60
  store i64 %v27, ptr %m63
  br label %row62
row62:
  %v64 = load i64, ptr %m63
  %v65 = icmp slt i64 %v64, %v39
  br i1 %v65, label %row62.body, label %row62.end
row62.body:
  %v66 = add i64 %v45, %v64
  %v67 = mul i64 %v66, 8
  %v68 = getelementptr float, ptr %v21, i64 %v67
  %v69 = add i64 %v57, %v64
  %v70 = mul i64 %v69, 8
  %v71 = getelementptr float, ptr %v17, i64 %v70
  %v72 = add i64 %v53, %v64
  %v73 = mul i64 %v72, 8
  %v74 = getelementptr float, ptr %v23, i64 %v73
  %v75 = add i64 %v45, %v64
  %v76 = mul i64 %v75, 8
  %v77 = getelementptr float, ptr %v19, i64 %v76
  store i64 0, ptr %m79
  br label %column78
column78:
  %v80 = load i64, ptr %m79
  %v81 = icmp slt i64 %v80, 8
  br i1 %v81, label %column78.body, label %column78.end
column78.body:
  %v82 = getelementptr float, ptr %v68, i64 %v80
  %v83 = load <4 x float>, ptr %v82, align 4
  %v84 = getelementptr float, ptr %v71, i64 %v80
  %v85 = load <4 x float>, ptr %v84, align 4
  %v86 = getelementptr float, ptr %v74, i64 %v80
  %v87 = load <4 x float>, ptr %v86, align 4
  %v88 = fadd <4 x float> %v83, %v85
  %v89 = fmul <4 x float> %v87, %v87
  %v90 = fsub <4 x float> splat (float 0x3FF0000000000000), %v89
  %v91 = fmul <4 x float> %v88, %v90
  %v92 = getelementptr float, ptr %v77, i64 %v80
  store <4 x float> %v91, ptr %v92, align 4
  %v93 = add i64 %v80, 4
  store i64 %v93, ptr %m79
  br label %column78
column78.end:
  %v94 = add i64 %v64, 1
  store i64 %v94, ptr %m63
  br label %row62
row62.end:
  %v95 = add i64 %v45, %v27
  %v96 = mul i64 %v95, 8
  %v97 = getelementptr float, ptr %v19, i64 %v96
  %v98 = add i64 %v61, %v27
  %v99 = mul i64 %v98, 8
  %v100 = getelementptr float, ptr %v17, i64 %v99
  %v101 = sub i64 %v39, %v27
  call void %v11(ptr %v97, i64 8, i64 %v101, ptr %v25, i64 8, i64 2, ptr %v100, i64 8)
  br label %busy41.end
busy41.end:
  %v102 = add i64 %v33, 1
  store i64 %v102, ptr %m32
  br label %step31
step31.end:
  ret void
}

define void @join(ptr %arguments) {
entry:
  %m12 = alloca i64, align 64
  %v1 = getelementptr i64, ptr %arguments, i64 6
  %v2 = load ptr, ptr %v1
  %v3 = getelementptr i64, ptr %arguments, i64 7
  %v4 = load ptr, ptr %v3
  %v5 = call i32 %v2()
  %v6 = sext i32 %v5 to i64
  %v7 = call i32 %v4()
  %v8 = sext i32 %v7 to i64
  %v9 = getelementptr i64, ptr %arguments, i64 1
  %v10 = load i64, ptr %v9
  store i64 %v6, ptr %m12
  br label %part11
part11:
  %v13 = load i64, ptr %m12
  %v14 = icmp slt i64 %v13, %v10
  br i1 %v14, label %part11.body, label %part11.end
part11.body:
  call void @run(ptr %arguments, i64 %v13)
  %v15 = add i64 %v13, %v8
  store i64 %v15, ptr %m12
  br label %part11
part11.end:
  ret void
}
